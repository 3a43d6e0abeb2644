/**
 * `stasis checkpoint`.
 *
 * @module
 */
import type { CheckpointResult } from "../core/checkpoint/checkpoint.ts";
import { mayOvercommit } from "../core/linux/free_memory.ts";
import { StasisError } from "../base/errors.ts";
import type { CheckpointSettings } from "../mod.ts";
import { type Command, defineCommand } from "./command.ts";
import { toJson } from "../base/json.ts";
import { CHECKPOINT_OPTIONS, readCheckpointOptions } from "./checkpoint_options.ts";
import { aroundPlugins, either, loadPlugins, parsePid, PLUGIN_OPTION } from "./options.ts";
import { Report, REPORT_OPTIONS } from "./report.ts";
import { print } from "./ui/print.ts";
import { formatBytes, formatMs, plural } from "./ui/units.ts";

/** Where the images go when nothing is said: `stasis-PID` in the working directory. */
export function defaultDirectory(pid: number): string {
  return `stasis-${pid}`;
}

/** The checkpoint before, however it was named. @throws {StasisError} `usage` where it was by both options */
export function parentOf(
  directory: string,
  { parent, prevImagesDir }: { readonly parent?: string; readonly prevImagesDir?: string },
): string | undefined {
  if (prevImagesDir === undefined) return parent;
  if (parent !== undefined) {
    throw new StasisError("usage", "the parent was given twice", {
      hint: "give --parent, or --prev-images-dir as CRIU has it",
    });
  }
  return prevImagesDir.startsWith("/") ? prevImagesDir : `${directory}/${prevImagesDir}`;
}

/** What is said of the tree, by what has become of it. */
const ENDINGS = { ended: "", running: " and runs on", stopped: " and is stopped" } as const;

/** What people read of a checkpoint that is done. */
export function describeCheckpoint(result: CheckpointResult, left: keyof typeof ENDINGS): string {
  const { pid, directory, parent, tasks, threads, bytes, frozenMs, totalMs, taken } = result;
  const what = `${plural(tasks, "process", "processes")}, ${plural(threads, "thread")}`;
  const lines = [
    `${pid}: ${what}, ${formatBytes(bytes)} in ${formatMs(totalMs)}, ` +
    `stood still for ${formatMs(frozenMs)}${ENDINGS[left]}`,
    `images: ${directory}`,
  ];
  if (parent !== undefined) lines.push(`needs, too: ${parent}`);
  if (taken.length > 0) {
    lines.push(`not reaped yet by their parents, so still taken: ${taken.join(", ")}`);
  }
  return lines.join("\n");
}

/** The command. */
export const checkpoint: Command = defineCommand({
  name: "checkpoint",
  alias: "dump",
  summary: "save a running process tree to a directory",
  description:
    "Stops a process with all its descendants, writes their state to a directory and ends them, or with " +
    "--leave-running lets them run on. Whatever fails, they run on as they were and no directory is left.",
  argument: ["[pid]", "the root of the tree"],
  options: {
    tree: { flags: "-t, --tree <pid>", description: "the same, as an option (as CRIU has it)" },
    imagesDir: {
      flags: "-D, --images-dir <dir>",
      description: "where the images go: a new directory (default: stasis-PID)",
    },
    parent: {
      flags: "--parent <dir>",
      description:
        "a checkpoint of the tree before this one: what has not changed is not written again, and that one is needed to restore",
    },
    prevImagesDir: {
      flags: "--prev-images-dir <dir>",
      description: "the same as CRIU has it: the path from the new directory on",
    },
    trackMem: {
      flags: "--track-mem",
      description: "accepted as by CRIU: with --parent memory is compared, which needs no tracking",
    },
    leaveRunning: { flags: "-R, --leave-running", description: "let the tree run on" },
    leaveStopped: {
      flags: "-s, --leave-stopped",
      description: "let the tree be stopped, as by SIGSTOP: SIGCONT makes it run on",
    },
    ...CHECKPOINT_OPTIONS,
    plugin: PLUGIN_OPTION,
    json: { flags: "--json", description: "print the result as JSON" },
    ...REPORT_OPTIONS,
  },
  examples: [
    [
      "stasis checkpoint 1234 -D /tmp/saved",
      "save process 1234 and its descendants, and end them",
    ],
    [
      "stasis checkpoint 1234 --leave-running",
      "save them to ./stasis-1234 and let them run on",
    ],
    [
      "stasis checkpoint 1234 -R -D /tmp/second --parent /tmp/first",
      "write only what has changed since then",
    ],
    [
      "stasis checkpoint 1234 --external 'pipe:[5678]'",
      "leave out a pipe whose other end is elsewhere",
    ],
  ],
  async run(argument, options) {
    const text = either("process id", argument, options.tree);
    if (text === undefined) {
      throw new StasisError("usage", "no process id was given", {
        hint: "stasis checkpoint PID",
      });
    }
    const pid = parsePid(text);
    const { leaveRunning = false, leaveStopped = false } = options;
    if (leaveRunning && leaveStopped) {
      throw new StasisError("usage", "a tree that is left running cannot be left stopped", {
        hint: "give --leave-running or --leave-stopped",
      });
    }
    if (options.snapshot === true && !leaveRunning) {
      throw new StasisError("usage", "a snapshot is of a tree that runs on", {
        hint: "give --leave-running with --snapshot",
      });
    }
    const operation = readCheckpointOptions(options);
    const plugins = [
      ...await loadPlugins(options.plugin ?? []),
      ...await aroundPlugins(options),
    ];
    const { checkpoint, onEndingSignals } = await import("../mod.ts");
    (await import("../core/linux/signal_watch.ts")).keepDebuggerShut();

    const controller = new AbortController();
    // Nothing that a person or a closed terminal sends may end the tool in its middle.
    using _listening = onEndingSignals(() => controller.abort());
    using report = new Report(options);
    const directory = options.imagesDir ?? defaultDirectory(pid);
    const settings: CheckpointSettings = {
      directory,
      parent: parentOf(directory, options),
      leaveRunning,
      leaveStopped,
      plugins,
      signal: controller.signal,
      onEvent: report.listener,
      options: {
        ...operation,
        snapshot: leaveRunning && (operation.snapshot ?? mayOvercommit()),
      },
    };
    const result = await report.of(() => checkpoint(pid, settings));
    report.clear();
    const left = leaveStopped ? "stopped" : leaveRunning ? "running" : "ended";
    print(
      options.json ? toJson(result) : describeCheckpoint(result, left),
      `the tree is saved in ${result.directory}${ENDINGS[left] || " and has ended"}`,
    );
  },
});
