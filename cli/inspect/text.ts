/**
 * What `stasis inspect` prints for people.
 *
 * @module
 */
import { printableName } from "../../base/byte_text.ts";
import { paint } from "../ui/colour.ts";
import { table } from "../ui/table.ts";
import { formatBytes, formatMs, plural } from "../ui/units.ts";
import { describeArguments } from "./arguments.ts";
import type { InspectedImages, SudInfo, TaskInfo, ThreadInfo } from "./model.ts";

/** How much is printed, and how. */
export interface TextOptions {
  /** Every mapping, every image, registers. */
  readonly verbose: boolean;
  readonly colour: boolean;
}

/** The lines. */
export function describeImages(images: InspectedImages, options: TextOptions): string[] {
  const { tasks, directory, size, plugins, parents } = images;
  const { verbose, colour } = options;
  const threads = tasks.reduce((sum, task) => sum + task.threads.length, 0);
  const title = (text: string) => paint("bold", text, colour);
  const lines = [
    `${title(directory)}: ${plural(tasks.length, "process", "processes")}, ` +
    `${plural(threads, "thread")}, ${formatBytes(size)}`,
    `plugins needed to restore: ${plugins.length > 0 ? plugins.join(", ") : "none"}`,
    ...parents === undefined ? [] : [`parents needed to restore: ${parents.join(", ")}`],
    ...images.verifiedBytes === undefined
      ? []
      : [`checksums: every byte is as it was written (${formatBytes(images.verifiedBytes)})`],
    "",
    ...tree(tasks),
  ];
  for (const task of tasks) {
    if (task.state === "zombie") continue;
    lines.push("", title(`${task.pid} ${printableName(task.comm)}`));
    lines.push(...describeTask(task, options).map((line) => line === "" ? "" : `  ${line}`));
  }
  images.filters?.forEach((filter, index) => {
    const flags = filter.flags === "" ? "" : `, ${filter.flags}`;
    const count = plural(filter.instructions, "instruction");
    lines.push("", `${title(`seccomp filter ${index}`)}: ${count}${flags}`);
    if (verbose) lines.push(...filter.code.map((line) => `  ${line}`));
  });
  if (images.sysv !== undefined) {
    const rows = images.sysv.map(({ kind, id, key, uid, mode, what }) => [
      `  ${id}`,
      kind,
      key === null ? "private" : `key ${key}`,
      `uid ${uid}`,
      mode,
      what,
    ]);
    lines.push("", title("System V IPC"), ...table(rows, ["right"]));
  }
  if (verbose && images.phases !== undefined) {
    const rows = images.phases.map(({ phase, ms }) => [`  ${printableName(phase)}`, formatMs(ms)]);
    lines.push("", title("phases"), ...table(rows, ["left", "right"]));
  }
  if (verbose) {
    lines.push("", title("images"));
    const rows = images.images.map(({ name, size }) => [`  ${name}`, formatBytes(size)]);
    lines.push(...table(rows, ["left", "right"]));
  }
  return lines;
}

/** Below so many columns of a drawn tree nothing moves to the right any more. */
const WIDEST_LEAD = 120;

/** The process tree, drawn as `pstree` does. */
function tree(tasks: readonly TaskInfo[]): string[] {
  const children = Map.groupBy(tasks, ({ ppid }) => ppid);
  const rows: string[][] = [];
  /** What is still to be drawn, the next at the end: a tree may be deeper than the stack of calls. */
  const [root] = tasks;
  const open = root === undefined ? [] : [{ task: root, lead: "", branch: "", below: "" }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { task, lead, branch, below } = next;
    const sud = task.threads.filter((thread) => thread.sud !== null).length;
    rows.push([
      `${lead}${branch}${task.pid} ${printableName(task.comm)}`,
      task.state,
      task.state === "zombie" ? "" : plural(task.threads.length, "thread"),
      sud === 0 ? "" : `SUD on in ${sud}`,
      task.state === "zombie" ? "" : formatBytes(task.savedBytes),
    ]);
    const deeper = lead.length < WIDEST_LEAD ? lead + below : lead;
    const [last, ...others] = (children.get(task.pid) ?? []).toReversed();
    if (last !== undefined) {
      open.push({ task: last, lead: deeper, branch: "└─ ", below: "   " });
    }
    for (const child of others) {
      open.push({ task: child, lead: deeper, branch: "├─ ", below: "│  " });
    }
  }
  return table(rows, ["left", "left", "right", "left", "right"]);
}

function describeTask(task: TaskInfo, { verbose }: TextOptions): string[] {
  const { pid, ppid, pgid, sid, exe, memoryOf, filesOf, locks = [], groups = [] } = task;
  const { timers = [], waiting = [], actions = [] } = task;
  const lines = [
    `parent ${ppid}, group ${pgid}, session ${sid}${exe ? `, program ${printableName(exe)}` : ""}`,
  ];
  if (task.args !== undefined) lines.push(`command: ${describeArguments(task.args, verbose)}`);
  if (groups.length > 0) lines.push(`control groups: ${groups.map(printableName).join(", ")}`);
  lines.push(...indented("threads", threadRows(task.threads, verbose)));
  if (!task.threads.some(({ tid }) => tid === pid) && task.state !== "zombie") {
    lines.push("its first thread has ended");
  }
  if (filesOf !== undefined && filesOf !== pid) {
    lines.push(`descriptors: the table of ${filesOf}`);
  } else {
    const rows = task.descriptors.map(({ fd, kind, what, closeOnExec }) => [
      String(fd),
      kind,
      `${what}${closeOnExec ? "  close-on-exec" : ""}`,
    ]);
    lines.push(...indented("descriptors", table(rows, ["right"])));
  }
  if (locks.length > 0) {
    lines.push(
      ...indented("locks", table(locks.map(({ fd, what }) => [String(fd), what]), ["right"])),
    );
  }
  if (timers.length > 0) lines.push(...indented("timers", timers));
  if (waiting.length > 0) lines.push(`waiting signals: ${waiting.join(" ")}`);
  if (verbose && actions.length > 0) {
    const rows = actions.map(({ signal, what }) => [signal, what]);
    lines.push(...indented("signals", table(rows)));
  }
  if (memoryOf !== undefined && memoryOf !== pid) {
    lines.push(`memory: that of ${memoryOf}`);
    return lines;
  }
  const parent = task.parentBytes > 0n ? `, ${formatBytes(task.parentBytes)} in parent/` : "";
  lines.push(
    `memory: ${plural(task.mappings.length, "mapping")}, ${
      formatBytes(task.mappedBytes)
    } mapped, ` +
      `${formatBytes(task.savedBytes)} saved${parent}`,
  );
  if (verbose) {
    const rows = task.mappings.map(({ start, end, permissions, size, name }) => [
      `  ${start.slice(2)}-${end.slice(2)}`,
      permissions,
      formatBytes(size),
      printableName(name),
    ]);
    lines.push(...table(rows, ["left", "left", "right"]));
  }
  return lines;
}

function threadRows(threads: readonly ThreadInfo[], verbose: boolean): string[] {
  return table(
    threads.map(({ tid, comm, uid, sud, seccomp, filters = [], ip, sp }) => [
      String(tid),
      printableName(comm ?? ""),
      uid === undefined ? "" : `uid ${uid}`,
      describeSud(sud),
      seccomp === undefined ? "" : `seccomp ${[seccomp, ...filters].join(" ")}`,
      verbose && ip !== undefined ? `ip ${ip} sp ${sp}` : "",
    ]),
    ["right"],
  );
}

/** Syscall User Dispatch of a thread in a few words. */
export function describeSud(sud: SudInfo | null): string {
  if (sud === null) return "SUD off";
  const range = sud.length === 0n
    ? "empty range"
    : `range ${sud.offset}+0x${sud.length.toString(16)}`;
  return `SUD ${sud.mode}, ${range}, ${
    sud.selector === null ? "no selector" : `selector ${sud.selector}`
  }`;
}

function indented(title: string, lines: readonly string[]): string[] {
  return lines.length === 0
    ? [`${title}: none`]
    : [`${title}:`, ...lines.map((line) => `  ${line}`)];
}
