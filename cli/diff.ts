/**
 * `stasis diff`.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { toJson } from "../base/json.ts";
import { hasColour } from "./ui/colour.ts";
import { print } from "./ui/print.ts";

/** The command. */
export const diff: Command = defineCommand({
  name: "diff",
  summary: "show what changed between two checkpoints of a tree",
  description:
    "Compares two image directories, process by process: threads, descriptors with their positions, mappings, pages " +
    "by mapping, Syscall User Dispatch, signals, timers. Reads CRIU's images too.",
  argument: ["[before]", "the image directory of the earlier checkpoint"],
  more: { name: "[after]", description: "that of the later one" },
  options: {
    json: { flags: "--json", description: "print everything as JSON" },
  },
  examples: [
    ["stasis diff /tmp/first /tmp/second", "what a program has done in between"],
    ["stasis diff first second --json | jq '.changed[].pages'", "for scripts"],
  ],
  async run(before, options, _setStatus, [after]) {
    if (before === undefined || after === undefined) {
      throw new StasisError("usage", "two image directories are to be given", {
        hint: "stasis diff BEFORE AFTER",
      });
    }
    const [{ ImageDirectory }, { inspectImages }, { diffTrees }, { diffPages }, { describeDiff }] =
      await Promise.all([
        import("../images/mod.ts"),
        import("./inspect/model.ts"),
        import("./diff/changes.ts"),
        import("./diff/pages.ts"),
        import("./diff/text.ts"),
      ]);
    const first = ImageDirectory.open(before), second = ImageDirectory.open(after);
    const found = diffTrees(
      inspectImages(first),
      inspectImages(second),
      (_, { pid, mappings }) => diffPages(first, second, pid, mappings),
    );
    print(options.json ? toJson(found) : describeDiff(found, hasColour(Deno.stdout)).join("\n"));
  },
});
