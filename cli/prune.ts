/**
 * `stasis prune`.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import { type Command, defineCommand } from "./command.ts";
import { parseKeep } from "./options.ts";
import { print } from "./ui/print.ts";

/** The command. */
export const prune: Command = defineCommand({
  name: "prune",
  summary: "delete old checkpoints of a job's store",
  description:
    "Deletes all checkpoints of a store but the newest, and but those that one of these cannot be restored without. The " +
    "latest is never deleted. Nobody may save to the store meanwhile: stasis run and stasis watch have --keep for that.",
  argument: ["[dir]", "the store"],
  options: {
    keep: { flags: "--keep <n>", description: "how many are kept, at least" },
    json: { flags: "--json", description: "print the result as JSON" },
  },
  examples: [["stasis prune /var/jobs/7 --keep 1", "leave the latest alone"]],
  async run(directory, { keep, json }) {
    if (directory === undefined || keep === undefined) {
      const what = directory === undefined ? "no store was given" : "--keep was not given";
      throw new StasisError("usage", what, { hint: "stasis prune DIR --keep N" });
    }
    const number = parseKeep(keep);
    const { Store } = await import("../jobs/store.ts");
    using store = Store.open(directory);
    const deleted = store.prune(number);
    const { checkpoints } = store.list();
    print(
      json
        ? toJson({ directory: store.path, deleted, checkpoints })
        : `${store.path}: ${deleted.length} deleted, ${checkpoints.length} left`,
    );
  },
});
