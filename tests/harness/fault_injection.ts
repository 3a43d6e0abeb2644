/**
 * Has single system calls of the command line fail, by strace(1). Only its main thread is looked at, from which all
 * calls of Stasis come, and not what it starts: the processes that it traces itself cannot be traced by another.
 */

import { type CommandOutcome, stasis } from "./stasis_command.ts";

/** One call that fails: the `when`-th of its kind fails with `errno`. */
export interface Fault {
  readonly call: string;
  readonly when: number;
  readonly errno: string;
  /** How many in a row fail, from that one on; 1 where nothing is said. */
  readonly times?: number;
  /** The call as it was seen to be made when nothing failed, for messages. */
  readonly line: string;
}

/** A call that the command made. */
interface Seen {
  readonly call: string;
  /** The how-manieth of its kind. */
  readonly when: number;
  /** What it is called here: of ptrace, prctl and the like each request is a kind. */
  readonly kind: string;
  readonly line: string;
}

/** Errors by call that happen on machines: those of the manual pages that have nothing to do with wrong arguments. */
const ERRNOS: Readonly<Record<string, readonly string[]>> = {
  clone3: ["EAGAIN", "ENOMEM"],
  close: ["EINTR"],
  faccessat2: ["EIO"],
  fcntl: ["ENOMEM"],
  flock: ["EINTR", "ENOLCK"],
  fsync: ["EIO", "ENOSPC"],
  ftruncate: ["EIO", "ENOSPC"],
  get_robust_list: ["EPERM"],
  getdents64: ["EIO", "ENOMEM"],
  getxattr: ["EIO"],
  ioctl: ["EIO", "ENOMEM"],
  kcmp: ["EPERM", "ENOMEM"],
  keyctl: ["ENOMEM", "EACCES"],
  kill: ["EPERM"],
  linkat: ["EIO", "ENOSPC"],
  listxattr: ["EIO"],
  lseek: ["EIO"],
  memfd_create: ["EMFILE", "ENOMEM"],
  mkdir: ["EIO", "ENOSPC"],
  newfstatat: ["EIO", "ENOMEM"],
  openat: ["EMFILE", "ENFILE", "EACCES", "ENOMEM", "EIO"],
  pidfd_getfd: ["EMFILE", "EPERM"],
  pidfd_open: ["EMFILE", "ENOMEM"],
  pidfd_send_signal: ["EPERM"],
  poll: ["EINTR", "ENOMEM"],
  prctl: ["EPERM", "ENOMEM"],
  pread64: ["EIO", "EINTR"],
  prlimit64: ["EPERM"],
  process_vm_readv: ["EPERM", "ENOMEM"],
  ptrace: ["EPERM", "EIO"],
  pwrite64: ["EIO", "ENOSPC", "EINTR"],
  read: ["EIO", "EINTR"],
  readlink: ["EACCES", "ENOMEM"],
  recvfrom: ["EINTR", "ENOBUFS"],
  recvmsg: ["EINTR", "ENOBUFS"],
  rename: ["EIO", "ENOSPC"],
  rmdir: ["EIO"],
  rt_sigaction: ["EINVAL"],
  rt_sigqueueinfo: ["EAGAIN"],
  rt_tgsigqueueinfo: ["EAGAIN"],
  sendfile: ["EIO", "ENOSPC"],
  sendmsg: ["ENOBUFS", "EINTR"],
  sendto: ["ENOBUFS", "EINTR"],
  socket: ["EMFILE", "ENOBUFS"],
  statfs: ["EIO"],
  statx: ["EIO", "ENOMEM"],
  sync_file_range: ["EIO", "ENOSPC"],
  syncfs: ["EIO", "ENOSPC"],
  tgkill: ["EAGAIN"],
  timer_create: ["EAGAIN"],
  timer_settime: ["EINTR"],
  unlink: ["EIO"],
  unlinkat: ["EIO"],
  utimensat: ["EIO"],
  wait4: ["EINTR"],
  waitid: ["EINTR"],
  write: ["EIO", "ENOSPC", "EINTR"],
};

/** Calls whose first argument says what they do. */
const MULTIPLEXED = new Set(["ptrace", "prctl", "keyctl"]);
/** What the runtime does to wake its own threads, and what a person reads. */
const RUNTIME =
  /^(?:write\((?:1|2|\d+<(?:anon_inode|socket|pipe))|read\(\d+<(?:anon_inode|pipe|socket))/;

/**
 * Runs a command that must succeed, and lists the faults that are worth trying: of each kind of call between the
 * first ptrace request and the end some, evenly spread, with each errno.
 *
 * @param samples how many calls of a kind
 */
export async function plausibleFaults(args: readonly string[], samples: number): Promise<Fault[]> {
  const trace = await Deno.makeTempFile({ prefix: "stasis-trace-" });
  try {
    const through = ["strace", "-y", "-qq", "-e", "signal=none", "-o", trace];
    const outcome = await stasis(args, { through });
    if (outcome.status !== 0) throw new Error(`it fails without a fault: ${outcome.stderr}`);
    return chooseFaults((await Deno.readTextFile(trace)).split("\n"), samples);
  } finally {
    await Deno.remove(trace);
  }
}

/** The faults worth trying, from the lines of a trace. */
export function chooseFaults(lines: readonly string[], samples: number): Fault[] {
  const byKind = new Map<string, Seen[]>();
  for (const seen of callsOf(lines)) {
    const alike = byKind.get(seen.kind);
    if (alike === undefined) byKind.set(seen.kind, [seen]);
    else alike.push(seen);
  }
  return [...byKind.values()].flatMap((alike) =>
    spread(alike, samples).flatMap(({ call, when, line }) =>
      (ERRNOS[call] ?? []).map((errno) => ({ call, when, errno, line }))
    )
  );
}

function* callsOf(lines: readonly string[]): Generator<Seen> {
  const counts = new Map<string, number>();
  let begun = false;
  for (const line of lines) {
    const call = /^\w+(?=\()/.exec(line)?.[0];
    if (call === undefined) continue;
    const when = (counts.get(call) ?? 0) + 1;
    counts.set(call, when);
    begun ||= call === "ptrace";
    if (!begun || RUNTIME.test(line)) continue;
    const request = MULTIPLEXED.has(call) ? /\((\w+)/.exec(line)?.[1] ?? "" : "";
    yield { call, when, kind: `${call} ${request}`, line };
  }
}

function spread<T>(all: readonly T[], count: number): T[] {
  if (all.length <= count) return [...all];
  // One in the middle comes in every run, though not all make the same number of calls.
  if (count === 1) return [all[all.length >> 1] as T];
  // The first and the last one are among them.
  const step = (all.length - 1) / (count - 1);
  return Array.from({ length: count }, (_, index) => all[Math.round(index * step)] as T);
}

/** What came of a command with a fault. */
export interface FaultyOutcome extends CommandOutcome {
  /** The calls that were made to fail, as lines of strace(1). */
  readonly failed: readonly string[];
}

/** Runs a command with a fault. */
export async function withFault(
  { call, when, errno, times = 1 }: Fault,
  args: readonly string[],
): Promise<FaultyOutcome> {
  const trace = await Deno.makeTempFile({ prefix: "stasis-trace-" });
  try {
    const which = `${when}..${when + times - 1}`;
    const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:error=${errno}:when=${which}`];
    // A tool that waits for ever is a finding, too.
    const limit = ["timeout", "--signal=KILL", "60"];
    const through = [...limit, "strace", "-qq", "-e", "signal=none", "-o", trace, ...inject];
    const outcome = await stasis(args, { through });
    const lines = (await Deno.readTextFile(trace)).split("\n");
    return { ...outcome, failed: lines.filter((line) => line.endsWith("(INJECTED)")) };
  } finally {
    await Deno.remove(trace);
  }
}
