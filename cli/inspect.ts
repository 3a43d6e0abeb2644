/**
 * `stasis inspect`.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { toJson } from "./json.ts";
import { either } from "./options.ts";
import { hasColour } from "./ui/colour.ts";
import { print } from "./ui/print.ts";

/** The command. */
export const inspect: Command = defineCommand({
  name: "inspect",
  summary: "show what is in an image directory",
  description:
    "Shows what a checkpoint has saved: the process tree, its threads with their Syscall User Dispatch, its " +
    "descriptors and how much memory. Reads CRIU's images too.",
  argument: ["[dir]", "the image directory"],
  options: {
    imagesDir: {
      flags: "-D, --images-dir <dir>",
      description: "the same, as an option (as CRIU has it)",
    },
    json: { flags: "--json", description: "print everything as JSON" },
    verbose: { flags: "-v, --verbose", description: "show every mapping, every image, registers" },
    verify: {
      flags: "--verify",
      description: "compare every byte with the checksums that were made when it was written",
    },
  },
  examples: [
    ["stasis inspect /tmp/saved", "what was saved"],
    ["stasis inspect /tmp/saved --verify", "also see whether it is still what was saved"],
    ["stasis inspect /tmp/saved --json | jq '.tasks[].threads[].sud'", "for scripts"],
  ],
  async run(argument, options) {
    const directory = either("image directory", argument, options.imagesDir);
    if (directory === undefined) {
      throw new StasisError("usage", "No image directory was given", {
        hint: "stasis inspect DIR",
      });
    }
    const [{ ImageDirectory }, { inspectImages }, { describeImages }] = await Promise.all([
      import("../images/mod.ts"),
      import("./inspect/model.ts"),
      import("./inspect/text.ts"),
    ]);
    const crc32 = options.verify
      ? (await import("../core/linux/x86_64/crc32_ffi.ts")).crc32
      : undefined;
    const images = ImageDirectory.open(directory, { crc32 });
    const verified = options.verify ? { verifiedBytes: await images.verifyContents() } : {};
    const inspected = { ...inspectImages(images), ...verified };
    const { verbose = false } = options;
    print(
      options.json
        ? toJson(inspected)
        : describeImages(inspected, { verbose, colour: hasColour(Deno.stdout) }).join("\n"),
    );
  },
});
