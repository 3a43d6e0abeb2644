/**
 * `stasis inspect`.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import type { WrittenCore } from "./core_file/write.ts";
import { type Command, defineCommand } from "./command.ts";
import { toJson } from "../base/json.ts";
import { imagesIn } from "../jobs/latest.ts";
import { either, parsePid } from "./options.ts";
import { hasColour } from "./ui/colour.ts";
import { print } from "./ui/print.ts";
import { formatBytes, plural } from "./ui/units.ts";

function describeCore({ pid, path, threads, copied }: WrittenCore): string {
  return `${path}: process ${pid}, ${plural(threads, "thread")}, ${formatBytes(copied)} of memory`;
}

/** The command. */
export const inspect: Command = defineCommand({
  name: "inspect",
  summary: "show what is in an image directory",
  description:
    "Shows what a checkpoint has saved: the process tree, its threads with their Syscall User Dispatch, its " +
    "descriptors and how much memory. Reads CRIU's images too.",
  argument: ["[dir]", "the image directory, or a store of a job, whose latest is taken"],
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
    core: {
      flags: "--core <saved-pid>",
      description: "write a process as an ELF core file, for gdb; needs --output",
    },
    html: {
      flags: "--html <file>",
      description: "write everything as one new page for a browser, which needs no network",
    },
    output: { flags: "-o, --output <file>", description: "the new file to write" },
  },
  examples: [
    ["stasis inspect /tmp/saved", "what was saved"],
    ["stasis inspect /tmp/saved --verify", "also see whether it is still what was saved"],
    ["stasis inspect /tmp/saved --html saved.html", "to look around in a browser"],
    ["stasis inspect /tmp/saved --core 1234 -o core", "then: gdb PROGRAM core"],
    ["stasis inspect /tmp/saved --json | jq '.tasks[].threads[].sud'", "for scripts"],
  ],
  async run(argument, options) {
    const given = either("image directory", argument, options.imagesDir);
    if (given === undefined) {
      throw new StasisError("usage", "no image directory was given", {
        hint: "stasis inspect DIR",
      });
    }
    const directory = imagesIn(given);
    if ((options.core === undefined) !== (options.output === undefined)) {
      throw new StasisError("usage", "--core and --output belong together", {
        hint: "stasis inspect DIR --core PID -o FILE",
      });
    }
    if (options.core !== undefined && options.html !== undefined) {
      throw new StasisError("usage", "one file is written at a time", {
        hint: "give --core or --html",
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
    const verified = options.verify
      ? { verifiedBytes: await (await import("../images/layers.ts")).verifyChain(images) }
      : {};
    if (options.core !== undefined) {
      const { writeCore } = await import("./core_file/write.ts");
      const written = writeCore(images, parsePid(options.core), options.output as string);
      return print(options.json ? toJson(written) : describeCore(written));
    }
    if (options.html !== undefined) {
      const { writePage } = await import("./page/write.ts");
      const written = await writePage(images, options.html);
      return print(
        options.json ? toJson(written) : `${written.path}: ${formatBytes(written.size)}`,
      );
    }
    const inspected = { ...inspectImages(images), ...verified };
    const { verbose = false } = options;
    print(
      options.json
        ? toJson(inspected)
        : describeImages(inspected, { verbose, colour: hasColour(Deno.stdout) }).join("\n"),
    );
  },
});
