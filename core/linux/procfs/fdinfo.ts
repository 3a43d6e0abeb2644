/**
 * `/proc/PID/fdinfo/FD`: position and flags of a descriptor, and what only its kind has.
 * Source: proc_pid_fdinfo(5); kernel fs/proc/fd.c, seq_show(), and the show_fdinfo() of each kind.
 *
 * @module
 */

import { type FileLock, parseLock } from "./locks.ts";
import { errnoOf, taskError, taskExists, taskPath } from "./read.ts";
import type { DeviceNumber } from "./vma_line.ts";

/** An eventfd (fs/eventfd.c). */
export interface EventFdInfo {
  readonly count: bigint;
  /** Tells two eventfds apart (5.2 and later). */
  readonly id?: number;
  /** Made with EFD_SEMAPHORE; undefined before 6.5, which does not tell. */
  readonly semaphore?: boolean;
}

/** One entry of an epoll instance (fs/eventpoll.c). */
export interface EpollTarget {
  /** The descriptor's number when it was added: by now it may be closed, or another file's. */
  readonly tfd: number;
  /** EPOLL* bits. */
  readonly events: number;
  readonly data: bigint;
  /** The file's position. */
  readonly pos: bigint;
  /** Inode and device of the file: what tells whether `tfd` still is that file. */
  readonly ino: bigint;
  readonly dev: DeviceNumber;
}

/** Seconds and nanoseconds. */
export interface TimeSpec {
  readonly seconds: bigint;
  readonly nanoseconds: number;
}

/** A timerfd (fs/timerfd.c). */
export interface TimerFdInfo {
  /** CLOCK_* that it was made with. */
  readonly clockId: number;
  /** Expirations that nobody has read yet. */
  readonly ticks: bigint;
  /** TFD_TIMER_* of the last timerfd_settime. */
  readonly settimeFlags: number;
  /** The time that is left (relative, also of an absolute timer); zero for one that is disarmed. */
  readonly value: TimeSpec;
  readonly interval: TimeSpec;
}

/** A file by its handle, as open_by_handle_at takes it (fs/notify/fdinfo.c). */
export interface FileHandle {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** A watch of an inotify instance. */
export interface InotifyWatch {
  readonly wd: number;
  readonly ino: bigint;
  readonly dev: DeviceNumber;
  /** IN_* bits. */
  readonly mask: number;
  /** Undefined where the file system has no handles. */
  readonly handle?: FileHandle;
}

/** A mark of a fanotify group: on an inode (`ino`), a mount (`mountId`) or a file system. */
export interface FanotifyMark {
  readonly ino?: bigint;
  readonly dev?: DeviceNumber;
  readonly mountId?: number;
  /** FAN_MARK_* bits. */
  readonly markFlags: number;
  /** FAN_* bits. */
  readonly mask: number;
  readonly ignoredMask: number;
  readonly handle?: FileHandle;
}

/** A fanotify group. */
export interface FanotifyInfo {
  /** FAN_* bits of fanotify_init. */
  readonly flags: number;
  /** O_* bits of the descriptors that it gives. */
  readonly eventFlags: number;
  readonly marks: readonly FanotifyMark[];
}

/** A pidfd (kernel/fork.c, pidfd_show_fdinfo()). */
export interface PidFdInfo {
  /** -1 if the process is gone, 0 if it is outside of the reader's pid namespace. */
  readonly pid: number;
  /** Its pid in each pid namespace, outermost first. */
  readonly nsPid: readonly number[];
}

/** One descriptor. Exactly the sections of its kind are there. */
export interface FdInfo {
  /** The file's position in bytes. */
  readonly pos: bigint;
  /** O_* bits: access mode, status flags and O_CLOEXEC (which is the descriptor's, not the file's). */
  readonly flags: number;
  /** The mount: the first field of a line of `mountinfo`, or of a mount inside the kernel. */
  readonly mountId: number;
  /** The inode (5.15 and later). */
  readonly ino?: bigint;
  /** Descriptors that are in flight in a Unix socket's queue (5.9 and later). */
  readonly scmFds?: number;
  readonly locks: readonly FileLock[];
  readonly eventfd?: EventFdInfo;
  readonly timerfd?: TimerFdInfo;
  /** Of an epoll instance; an empty one has no lines, so it looks like any other descriptor. */
  readonly epoll?: readonly EpollTarget[];
  /** A signalfd's signals: signal N is bit N-1. */
  readonly signalfd?: bigint;
  /** Of an inotify instance; one without watches has no lines. */
  readonly inotify?: readonly InotifyWatch[];
  readonly fanotify?: FanotifyInfo;
  readonly pidfd?: PidFdInfo;
  /** Of the master of a pseudoterminal: N of the /dev/pts/N that is its slave (drivers/tty/tty_io.c). */
  readonly ttyIndex?: number;
  /** Lines of kinds that are not taken apart here (io_uring, tun, DRM, ...). */
  readonly other: readonly string[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Parses the text of a `fdinfo` file. */
export function parseFdInfo(text: string): FdInfo {
  const locks: FileLock[] = [];
  const other: string[] = [];
  const info: Mutable<FdInfo> = { pos: 0n, flags: 0, mountId: 0, locks, other };
  const eventfd: Mutable<EventFdInfo> = { count: 0n };
  const timerfd: Mutable<TimerFdInfo> = {
    clockId: 0,
    ticks: 0n,
    settimeFlags: 0,
    value: { seconds: 0n, nanoseconds: 0 },
    interval: { seconds: 0n, nanoseconds: 0 },
  };
  const epoll: EpollTarget[] = [];
  const inotify: InotifyWatch[] = [];
  const pidfd: Mutable<PidFdInfo> = { pid: -1, nsPid: [] };
  const fanotify = { flags: 0, eventFlags: 0, marks: [] as FanotifyMark[] };

  for (const line of text.split("\n")) {
    if (line === "") continue;
    const key = /^(inotify|fanotify)(?= )|^[^:]+/.exec(line)?.[0] ?? line;
    const value = line.slice(key.length + 1).trim();
    switch (key) {
      case "pos":
        info.pos = BigInt(value);
        break;
      case "flags":
        info.flags = Number.parseInt(value, 8);
        break;
      case "mnt_id":
        info.mountId = Number(value);
        break;
      case "ino":
        info.ino = BigInt(value);
        break;
      case "scm_fds":
        info.scmFds = Number(value);
        break;
      case "lock":
        locks.push(parseLock(value));
        break;
      case "tty-index":
        info.ttyIndex = Number(value);
        break;
      case "eventfd-count":
        eventfd.count = hex(value);
        info.eventfd = eventfd;
        break;
      case "eventfd-id":
        eventfd.id = Number(value);
        break;
      case "eventfd-semaphore":
        eventfd.semaphore = value !== "0";
        break;
      case "clockid":
        timerfd.clockId = Number(value);
        info.timerfd = timerfd;
        break;
      case "ticks":
        timerfd.ticks = BigInt(value);
        break;
      case "settime flags":
        timerfd.settimeFlags = Number.parseInt(value, 8);
        break;
      case "it_value":
        timerfd.value = timeSpec(value);
        break;
      case "it_interval":
        timerfd.interval = timeSpec(value);
        break;
      case "tfd":
        epoll.push(epollTarget(line));
        info.epoll = epoll;
        break;
      case "sigmask":
        info.signalfd = hex(value);
        break;
      case "inotify":
        inotify.push(inotifyWatch(line));
        info.inotify = inotify;
        break;
      case "fanotify": {
        const fields = parseFields(line);
        if (fields.has("flags")) {
          fanotify.flags = int(fields, "flags");
          fanotify.eventFlags = int(fields, "event-flags");
        } else fanotify.marks.push(fanotifyMark(fields));
        info.fanotify = fanotify;
        break;
      }
      case "Pid":
        pidfd.pid = Number(value);
        info.pidfd = pidfd;
        break;
      case "NSpid":
        pidfd.nsPid = value.split(/\s+/).filter(Boolean).map(Number);
        break;
      default:
        other.push(line);
    }
  }
  return info;
}

function hex(text: string): bigint {
  return BigInt(`0x${text}`);
}

/** The labels of a descriptor without anything special, in their order; a socket has the last one too. */
const PLAIN = ["pos:\t", "flags:\t", "mnt_id:\t", "ino:\t", "scm_fds: "].map((label) =>
  Uint8Array.from(label, (letter) => letter.charCodeAt(0))
);
const NEWLINE = 0x0a, ZERO = 0x30, OCTAL = 8, DECIMAL = 10;

/**
 * Parses the bytes of a `fdinfo` file as nearly all are, which takes a fraction of the time.
 *
 * @param from where they begin
 * @param to where they end
 * @returns undefined where there is anything else: {@link parseFdInfo} knows
 */
export function parsePlainFdInfo(
  bytes: Uint8Array,
  from: number,
  to: number,
): FdInfo | undefined {
  const numbers: number[] = [];
  let at = from;
  for (let line = 0; at < to; line++) {
    const label = PLAIN[line];
    if (label === undefined) return undefined;
    for (let i = 0; i < label.length; i++) if (bytes[at + i] !== label[i]) return undefined;
    at += label.length;
    const base = line === 1 ? OCTAL : DECIMAL;
    let value = 0;
    for (; at < to && bytes[at] !== NEWLINE; at++) {
      const digit = (bytes[at] as number) - ZERO;
      // A position may be negative, or larger than a number holds exactly.
      if (digit < 0 || digit >= base || value > Number.MAX_SAFE_INTEGER / 16) return undefined;
      value = value * base + digit;
    }
    at++;
    numbers.push(value);
  }
  const [pos, flags, mountId, ino, scmFds] = numbers;
  if (pos === undefined || flags === undefined || mountId === undefined || ino === undefined) {
    return undefined;
  }
  const info = { pos: BigInt(pos), flags, mountId, locks: [], other: [], ino: BigInt(ino) };
  return scmFds === undefined ? info : { ...info, scmFds };
}

/** `(seconds, nanoseconds)` */
function timeSpec(text: string): TimeSpec {
  const [seconds, nanoseconds] = text.slice(1, -1).split(", ");
  return { seconds: BigInt(seconds ?? 0), nanoseconds: Number(nanoseconds) };
}

/** The kernel's own dev_t: 20 bits of minor (include/linux/kdev_t.h). */
function kernelDevice(value: number): DeviceNumber {
  return { major: value >>> 20, minor: value & 0xfffff };
}

/** The `name:value` fields of a line, with or without blanks between. */
function parseFields(line: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const match of line.matchAll(/([\w-]+):\s*([-\w]+)/g)) fields.set(match[1]!, match[2]!);
  return fields;
}

/** A field in hexadecimal; 0 where the line has none. */
function int(fields: ReadonlyMap<string, string>, name: string): number {
  return Number.parseInt(fields.get(name) ?? "0", 16);
}

function epollTarget(line: string): EpollTarget {
  const fields = parseFields(line);
  return {
    tfd: Number(fields.get("tfd")),
    events: int(fields, "events"),
    data: hex(fields.get("data") ?? "0"),
    pos: BigInt(fields.get("pos") ?? 0),
    ino: hex(fields.get("ino") ?? "0"),
    dev: kernelDevice(int(fields, "sdev")),
  };
}

function inotifyWatch(line: string): InotifyWatch {
  const fields = parseFields(line);
  return {
    wd: int(fields, "wd"),
    ino: hex(fields.get("ino") ?? "0"),
    dev: kernelDevice(int(fields, "sdev")),
    mask: int(fields, "mask"),
    handle: fileHandle(fields),
  };
}

function fanotifyMark(fields: ReadonlyMap<string, string>): FanotifyMark {
  const ino = fields.get("ino");
  return {
    ino: ino === undefined ? undefined : hex(ino),
    dev: fields.has("sdev") ? kernelDevice(int(fields, "sdev")) : undefined,
    mountId: fields.has("mnt_id") ? int(fields, "mnt_id") : undefined,
    markFlags: int(fields, "mflags"),
    mask: int(fields, "mask"),
    ignoredMask: int(fields, "ignored_mask"),
    handle: fileHandle(fields),
  };
}

function fileHandle(fields: ReadonlyMap<string, string>): FileHandle | undefined {
  const bytes = fields.get("f_handle");
  return bytes === undefined
    ? undefined
    : { type: int(fields, "fhandle-type"), bytes: Uint8Array.fromHex(bytes) };
}

/**
 * Reads the `fdinfo` of one descriptor.
 *
 * @returns undefined if the descriptor is closed (meanwhile).
 * @throws StasisError `no-such-task` if the task is gone, `no-privilege`.
 */
export function readFdInfo(pid: number, fd: number, tid?: number): FdInfo | undefined {
  const path = `${taskPath(pid, tid)}/fdinfo/${fd}`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" && taskExists(pid, tid)) return undefined;
    throw taskError(error, path, pid, tid);
  }
  return parseFdInfo(text);
}
