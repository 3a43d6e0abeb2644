/**
 * What a tree shares with processes outside of it: named by the user (`external`), or found by looking at
 * everybody's descriptors.
 *
 * @module
 */
import { decodeUserDevice } from "../../images/device.ts";
import { O } from "../linux/fcntl.ts";
import { readLink } from "../linux/files.ts";
import { readFds, readProcesses, readStat, taskPath, unlessGone } from "../linux/procfs/mod.ts";
import type { OperationOptions } from "../plugin.ts";
import { type Descriptor, Task } from "./task.ts";

/** S_IFCHR, the type of a character device (inode(7)). */
const CHARACTER_DEVICE = 0o020000;
const FIFO = 0o010000;

/**
 * Majors of terminals (Documentation/admin-guide/devices.txt): consoles and serial lines, /dev/tty and
 * its like, pseudoterminals, ACM and USB serial lines, ARM serial lines, hypervisor consoles.
 */
const TERMINALS = new Set([4, 5, 136, 137, 138, 139, 140, 141, 142, 143, 166, 188, 204, 229]);

/** Standard input, output and error. */
export const LAST_STANDARD_STREAM = 2;

/** Whether a descriptor is a terminal's (the master of a pseudoterminal too). */
export function isTerminal(descriptor: Descriptor): boolean {
  return descriptor.link.kind === "path" && descriptor.fileType === CHARACTER_DEVICE &&
    TERMINALS.has(decodeUserDevice(descriptor.identity.rdev).major);
}

/**
 * The name of what a descriptor leads to, as CRIU's `--inherit-fd` and `--external` write it:
 * `pipe:[INODE]`, `socket:[INODE]`, `tty[RDEV:DEV]` in hexadecimal, or the path.
 */
export function resourceName(descriptor: Descriptor): string {
  if (!isTerminal(descriptor)) return descriptor.link.text;
  const { rdev, dev } = descriptor.identity;
  return `tty[${rdev.toString(16)}:${dev.toString(16)}]`;
}

/**
 * Whether the user named a descriptor's file as external: by {@link resourceName}, by its path (a
 * terminal's too, also as `tty:PATH`), or by the descriptor's number as `fd[N]`; a socket also as CRIU's
 * `unix[INODE]`. What lies in flight has no number of the tree's.
 */
export function isNamedExternal(options: OperationOptions, descriptor: Descriptor): boolean {
  const { external = [] } = options;
  if (external.length === 0) return false;
  const { kind, text, inode } = descriptor.link;
  const names = [text, `tty:${text}`, ...numberName(descriptor)];
  if (kind === "socket") names.push(`unix[${inode}]`);
  return external.some((name) => names.includes(name)) ||
    external.some((name) => name.startsWith("tty[") && name === resourceName(descriptor));
}

/**
 * Whether something that is held outside of the tree, too, is to be cut off from there: the user named it as a dead end,
 * or all that is not provided at restore anyway.
 *
 * @param isProvided whether a restore gives something in its place
 */
export function isDeadEnd(
  { deadEnds = [], allDeadEnds = false }: OperationOptions,
  descriptor: Pick<Descriptor, "link" | "fd" | "isInFlight">,
  isProvided: boolean,
): boolean {
  return allDeadEnds && !isProvided ||
    [descriptor.link.text, ...numberName(descriptor)].some((name) => deadEnds.includes(name));
}

/** The name of a descriptor by its number: of one in flight there is none, its number is that of who keeps it. */
function numberName({ fd, isInFlight }: Pick<Descriptor, "fd" | "isInFlight">): string[] {
  return isInFlight ? [] : [`fd[${fd}]`];
}

/** What to do about something that only whoever restores the tree can give it. */
export function externalHint(name: string): string {
  return `name it with --external '${name}', and at restore what stands in for it with --inherit-fd 'fd[N]:${name}'`;
}

/** What to do about something that is held outside of the tree, too. */
export function sharedHint(name: string): string {
  return `if the program does not need it, cut it off: --dead-end '${name}', or --dead-ends for all like it; ` +
    `otherwise ${externalHint(name)}`;
}

/** Whether a descriptor is an open fifo's. */
export function isFifo({ link, fileType, info }: Descriptor): boolean {
  return link.kind === "path" && fileType === FIFO && (info.flags & O.PATH) === 0;
}

/** Whether a pipe, socket, fifo or deleted file: what two processes may share, and no path leads to later. */
function isShared(descriptor: Descriptor): boolean {
  const { kind, deleted } = descriptor.link;
  return kind === "pipe" || kind === "socket" ||
    kind === "path" && (deleted || descriptor.fileType === FIFO);
}

/** Knows which pipes, sockets, fifos and deleted files of a tree are also open outside of it. */
export class OutsideHolders {
  /** The processes outside that hold each, by the text of the descriptor's link. */
  readonly #holders = new Map<string, readonly number[]>();
  /** What is a standard stream of any task. */
  readonly #streams = new Set<string>();
  /** What was read of all processes already. */
  readonly #links: OpenLinks | undefined;

  constructor(links?: OpenLinks) {
    this.#links = links;
  }

  /**
   * Looks at the tree, and at all other processes if it has some that were not known yet: so the frozen
   * tree need not wait for a second look.
   *
   * @param more texts of links to look for as well: what the tree is connected to
   */
  look(tasks: readonly Task[], more: Iterable<string> = []): void {
    const unknown = new Map<string, number[]>();
    for (const text of more) if (!this.#holders.has(text)) unknown.set(text, []);
    for (const task of tasks) {
      for (const descriptor of task.descriptors) {
        const { text } = descriptor.link;
        if (descriptor.fd <= LAST_STANDARD_STREAM) this.#streams.add(text);
        if (!this.#holders.has(text) && isShared(descriptor)) unknown.set(text, []);
      }
    }
    if (unknown.size === 0) return;
    // Who keeps duplicates of what is in flight is none from outside.
    const inside = new Set(
      tasks.flatMap((task) => [task.pid, ...task.descriptors.map(({ pid }) => pid)]),
    );
    if (this.#links !== undefined) {
      for (const text of unknown.keys()) {
        this.#holders.set(text, this.#links.holdersOf(text, inside));
      }
      return;
    }
    for (const pid of readProcesses()) {
      if (inside.has(pid)) continue;
      const held = new Set(linksOf(pid)).intersection(unknown);
      // A task that the tree forked meanwhile is none from outside.
      if (held.size === 0 || descends(pid, inside)) continue;
      for (const text of held) unknown.get(text)?.push(pid);
    }
    for (const [text, pids] of unknown) this.#holders.set(text, pids);
  }

  /** The processes outside of the tree that have this open; none for what is neither of these. */
  of(descriptor: Descriptor): readonly number[] {
    return this.behind(descriptor.link.text);
  }

  /** Whether a fifo is a standard stream of the tree, as a pipe may be, and is held outside of it, too. */
  isFifoStream(descriptor: Descriptor): boolean {
    return isFifo(descriptor) && this.#streams.has(descriptor.link.text) &&
      this.of(descriptor).length > 0;
  }

  /** Whether a pipe is held outside of the tree, too, and is to be cut off from there. */
  isCutOff(options: OperationOptions, descriptor: Descriptor): boolean {
    const { kind, text } = descriptor.link;
    return kind === "pipe" && this.of(descriptor).length > 0 &&
      isDeadEnd(options, descriptor, this.#streams.has(text));
  }

  /** The same by the text of the link, of what {@link look} was told to look for. */
  behind(text: string): readonly number[] {
    return this.#holders.get(text) ?? [];
  }
}

/** What all processes of the machine have open, read once for many surveys: each by itself would read all of it. */
export class OpenLinks {
  #read:
    | { readonly holders: Map<string, number[]>; readonly parents: Map<number, number> }
    | undefined;

  /**
   * The processes that have it open, by the text of the link, as of the first time that anybody asked.
   *
   * @param inside of a tree: neither these nor who descends from them
   */
  holdersOf(text: string, inside: ReadonlySet<number>): readonly number[] {
    const { holders, parents } = this.#read ??= readOpenLinks();
    return (holders.get(text) ?? []).filter((pid) => {
      // Parents are of different moments: ids that were given anew may lead in a circle.
      for (let one = pid, left = parents.size; one !== 0 && left > 0; left--) {
        if (inside.has(one)) return false;
        one = parents.get(one) ?? 0;
      }
      return true;
    });
  }
}

function readOpenLinks() {
  const holders = new Map<string, number[]>();
  const parents = new Map<number, number>();
  for (const pid of readProcesses()) {
    const ppid = unlessGone(() => readStat(pid).ppid, undefined);
    if (ppid === undefined) continue;
    parents.set(pid, ppid);
    for (const text of new Set(linksOf(pid))) {
      const pids = holders.get(text);
      if (pids === undefined) holders.set(text, [pid]);
      else pids.push(pid);
    }
  }
  return { holders, parents };
}

/** Has the holders of an operation, for which none have been asked, found in what was read already. */
export function useOpenLinks(operation: object, links: OpenLinks): void {
  known.set(operation, new OutsideHolders(links));
}

/** The holders of one operation: whoever asks for the same `operation` object gets the same. */
export function outsideHolders(operation: object): OutsideHolders {
  let holders = known.get(operation);
  if (holders === undefined) known.set(operation, holders = new OutsideHolders());
  return holders;
}

const known = new WeakMap<object, OutsideHolders>();

/** Whether a process has one of these as an ancestor, or has ended. */
export function descends(pid: number, ancestors: ReadonlySet<number>): boolean {
  try {
    for (let one = readStat(pid).ppid; one !== 0; one = readStat(one).ppid) {
      if (ancestors.has(one)) return true;
    }
  } catch {
    // It has ended, and holds nothing any more.
    return true;
  }
  return false;
}

/**
 * The open descriptors of any process, and the id by which `/proc` leads to them: a first thread that has ended has
 * none, whatever the others have.
 *
 * @throws {StasisError} `no-such-task`, `no-privilege`
 */
export function openBy(pid: number): { readonly tid: number; readonly fds: readonly number[] } {
  const fds = readFds(pid);
  const tid = fds.length > 0 ? pid : new Task(pid).liveTid;
  return { tid, fds: tid === pid ? fds : readFds(tid) };
}

/** The links of a process that may end or close its files meanwhile. */
function* linksOf(pid: number): Generator<string> {
  let open: ReturnType<typeof openBy>;
  try {
    open = openBy(pid);
  } catch {
    return;
  }
  for (const fd of open.fds) {
    try {
      yield readLink(`${taskPath(open.tid)}/fd/${fd}`);
    } catch {
      // Closed meanwhile.
    }
  }
}

/**
 * Makes what claims the descriptors of one kind that have no file: eventfd, inotify and their like.
 *
 * @param name how the kernel calls it, in `anon_inode:NAME`
 */
export function claimsAnonymous(
  options: OperationOptions,
  name: string,
): (descriptor: Descriptor) => boolean {
  return (descriptor) =>
    descriptor.link.kind === "anon-inode" && descriptor.link.path === name &&
    !isNamedExternal(options, descriptor);
}
