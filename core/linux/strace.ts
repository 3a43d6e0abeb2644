/**
 * System calls for people, as strace(1) prints them: names of flags instead of numbers. What this table
 * does not know is printed as a number, so nothing is lost.
 *
 * @module
 */
import { printableName } from "../../base/byte_text.ts";
import { errnoName, isErrno } from "./errno.ts";
import { signalName } from "./signals.ts";
import type { SyscallName } from "./x86_64/syscalls.ts";

type Formatter = (value: bigint) => string;

const number: Formatter = (value) => BigInt.asIntN(64, value).toString();
const hex: Formatter = (value) => value === 0n ? "0" : `0x${value.toString(16)}`;
const address: Formatter = (value) => value === 0n ? "NULL" : `0x${value.toString(16)}`;
const int: Formatter = (value) => BigInt.asIntN(32, value).toString();
const octal: Formatter = (value) => `0${value.toString(8)}`;
const signal: Formatter = (value) =>
  value > 0n && value <= 64n ? signalName(Number(value)) : number(value);

/** A formatter of a bit mask; `zero` names the value without any bit. */
function flags(zero: string, names: Readonly<Record<string, bigint>>): Formatter {
  return (value) => {
    const found: string[] = [];
    let rest = value;
    for (const [name, bits] of Object.entries(names)) {
      if (bits !== 0n && (rest & bits) === bits) {
        found.push(name);
        rest &= ~bits;
      }
    }
    if (rest !== 0n) found.push(`0x${rest.toString(16)}`);
    return found.length === 0 ? zero : found.join("|");
  };
}

/** A formatter of an enumeration. */
function choice(names: Readonly<Record<string, string>>): Formatter {
  return (value) => names[value.toString()] ?? number(value);
}

const prot = flags("PROT_NONE", { PROT_READ: 1n, PROT_WRITE: 2n, PROT_EXEC: 4n });
const mapFlags = flags("0", {
  MAP_SHARED_VALIDATE: 3n,
  MAP_SHARED: 1n,
  MAP_PRIVATE: 2n,
  MAP_FIXED: 0x10n,
  MAP_ANONYMOUS: 0x20n,
  MAP_GROWSDOWN: 0x100n,
  MAP_LOCKED: 0x2000n,
  MAP_NORESERVE: 0x4000n,
  MAP_POPULATE: 0x8000n,
  MAP_STACK: 0x20000n,
  MAP_HUGETLB: 0x40000n,
  MAP_FIXED_NOREPLACE: 0x100000n,
});
const remapFlags = flags("0", { MREMAP_MAYMOVE: 1n, MREMAP_FIXED: 2n, MREMAP_DONTUNMAP: 4n });
const OPEN_FLAGS = {
  O_WRONLY: 1n,
  O_RDWR: 2n,
  O_CREAT: 0o100n,
  O_EXCL: 0o200n,
  O_NOCTTY: 0o400n,
  O_TRUNC: 0o1000n,
  O_APPEND: 0o2000n,
  O_NONBLOCK: 0o4000n,
  O_SYNC: 0o4010000n,
  O_DSYNC: 0o10000n,
  FASYNC: 0o20000n,
  O_DIRECT: 0o40000n,
  O_LARGEFILE: 0o100000n,
  O_DIRECTORY: 0o200000n,
  O_NOFOLLOW: 0o400000n,
  O_NOATIME: 0o1000000n,
  O_CLOEXEC: 0o2000000n,
  O_PATH: 0o10000000n,
  O_TMPFILE: 0o20000000n,
};
const openNames = flags("O_RDONLY", OPEN_FLAGS);
/** Of calls that open nothing by a path. */
const flagNames = flags("0", OPEN_FLAGS);
const at = (value: bigint) => BigInt.asIntN(32, value) === -100n ? "AT_FDCWD" : int(value);
const whence = choice({
  0: "SEEK_SET",
  1: "SEEK_CUR",
  2: "SEEK_END",
  3: "SEEK_DATA",
  4: "SEEK_HOLE",
});
const how = choice({ 0: "SIG_BLOCK", 1: "SIG_UNBLOCK", 2: "SIG_SETMASK" });
const timer = choice({ 0: "ITIMER_REAL", 1: "ITIMER_VIRTUAL", 2: "ITIMER_PROF" });
const epollOp = choice({ 1: "EPOLL_CTL_ADD", 2: "EPOLL_CTL_DEL", 3: "EPOLL_CTL_MOD" });
const fcntlCommand = choice({
  0: "F_DUPFD",
  1: "F_GETFD",
  2: "F_SETFD",
  3: "F_GETFL",
  4: "F_SETFL",
  6: "F_SETLK",
  8: "F_SETOWN",
  10: "F_SETSIG",
  11: "F_GETSIG",
  15: "F_SETOWN_EX",
  16: "F_GETOWN_EX",
  37: "F_OFD_SETLK",
  1024: "F_SETLEASE",
  1025: "F_GETLEASE",
  1031: "F_SETPIPE_SZ",
  1032: "F_GETPIPE_SZ",
  1033: "F_ADD_SEALS",
  1034: "F_GET_SEALS",
});
const flockOperation = flags("0", { LOCK_SH: 1n, LOCK_EX: 2n, LOCK_NB: 4n, LOCK_UN: 8n });
const madvice = choice({
  0: "MADV_NORMAL",
  1: "MADV_RANDOM",
  2: "MADV_SEQUENTIAL",
  3: "MADV_WILLNEED",
  4: "MADV_DONTNEED",
  10: "MADV_DONTFORK",
  11: "MADV_DOFORK",
  12: "MADV_MERGEABLE",
  13: "MADV_UNMERGEABLE",
  14: "MADV_HUGEPAGE",
  15: "MADV_NOHUGEPAGE",
  16: "MADV_DONTDUMP",
  18: "MADV_WIPEONFORK",
  102: "MADV_GUARD_INSTALL",
});
const prctlOption = choice({
  1: "PR_SET_PDEATHSIG",
  2: "PR_GET_PDEATHSIG",
  3: "PR_GET_DUMPABLE",
  4: "PR_SET_DUMPABLE",
  8: "PR_SET_KEEPCAPS",
  15: "PR_SET_NAME",
  22: "PR_SET_SECCOMP",
  28: "PR_SET_SECUREBITS",
  29: "PR_SET_TIMERSLACK",
  35: "PR_SET_MM",
  36: "PR_SET_CHILD_SUBREAPER",
  37: "PR_GET_CHILD_SUBREAPER",
  38: "PR_SET_NO_NEW_PRIVS",
  40: "PR_GET_TID_ADDRESS",
  41: "PR_SET_THP_DISABLE",
  42: "PR_GET_THP_DISABLE",
  47: "PR_CAP_AMBIENT",
  59: "PR_SET_SYSCALL_USER_DISPATCH",
});
const archOption = choice({
  0x1001: "ARCH_SET_GS",
  0x1002: "ARCH_SET_FS",
  0x1003: "ARCH_GET_FS",
  0x1004: "ARCH_GET_GS",
});

const family = choice({ 1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK" });
const SOCKET_TYPES: Readonly<Record<string, string>> = {
  1: "SOCK_STREAM",
  2: "SOCK_DGRAM",
  3: "SOCK_RAW",
  5: "SOCK_SEQPACKET",
};
const socketFlags = flags("", { SOCK_NONBLOCK: 0o4000n, SOCK_CLOEXEC: 0o2000000n });
/** The type is a number in the lowest four bits (SOCK_TYPE_MASK). */
const socketType: Formatter = (value) => {
  const more = socketFlags(value & ~0xfn);
  const type = SOCKET_TYPES[(value & 0xfn).toString()] ?? number(value & 0xfn);
  return more === "" ? type : `${type}|${more}`;
};
const shutdownHow = choice({ 0: "SHUT_RD", 1: "SHUT_WR", 2: "SHUT_RDWR" });
const messageFlags = flags("0", {
  MSG_OOB: 1n,
  MSG_PEEK: 2n,
  MSG_DONTWAIT: 0x40n,
  MSG_NOSIGNAL: 0x4000n,
  MSG_CMSG_CLOEXEC: 0x40000000n,
});
const optionLevel = choice({ 1: "SOL_SOCKET" });
const socketOption = choice({
  2: "SO_REUSEADDR",
  5: "SO_DONTROUTE",
  6: "SO_BROADCAST",
  7: "SO_SNDBUF",
  8: "SO_RCVBUF",
  9: "SO_KEEPALIVE",
  10: "SO_OOBINLINE",
  12: "SO_PRIORITY",
  13: "SO_LINGER",
  16: "SO_PASSCRED",
  18: "SO_RCVLOWAT",
  20: "SO_RCVTIMEO",
  21: "SO_SNDTIMEO",
  29: "SO_TIMESTAMP",
  32: "SO_SNDBUFFORCE",
  33: "SO_RCVBUFFORCE",
  34: "SO_PASSSEC",
  36: "SO_MARK",
  42: "SO_PEEK_OFF",
  72: "SO_BUF_LOCK",
});

/** How the arguments of the calls that Stasis makes are printed, in order. */
const SIGNATURES: Partial<Record<SyscallName, readonly Formatter[]>> = {
  accept4: [int, address, address, socketFlags],
  arch_prctl: [archOption, address],
  bind: [int, address, number],
  brk: [address],
  capset: [address, address],
  chdir: [address],
  clone3: [address, number],
  close: [int],
  close_range: [int, int, hex],
  connect: [int, address, number],
  dup2: [int, int],
  dup3: [int, int, flagNames],
  epoll_create1: [flagNames],
  epoll_ctl: [int, epollOp, int, address],
  eventfd2: [number, hex],
  exit_group: [int],
  fchdir: [int],
  fcntl: [int, fcntlCommand, hex],
  fallocate: [int, hex, number, number],
  flock: [int, flockOperation],
  ftruncate: [int, number],
  inotify_add_watch: [int, address, hex],
  inotify_init1: [flagNames],
  kill: [int, signal],
  listen: [int, int],
  lseek: [int, number, whence],
  madvise: [address, number, madvice],
  memfd_create: [address, hex],
  mlock2: [address, number, hex],
  mmap: [address, number, prot, mapFlags, int, hex],
  mprotect: [address, number, prot],
  mremap: [address, number, number, remapFlags, address],
  munmap: [address, number],
  open: [address, openNames, octal],
  openat: [at, address, openNames, octal],
  personality: [hex],
  pidfd_getfd: [int, int, hex],
  pidfd_open: [int, hex],
  pipe2: [address, flagNames],
  prctl: [prctlOption, hex, hex, hex, hex],
  pread64: [int, address, number, number],
  preadv: [int, address, number, number],
  pwrite64: [int, address, number, number],
  pwritev: [int, address, number, number],
  read: [int, address, number],
  rseq: [address, number, hex, hex],
  rt_sigaction: [signal, address, address, number],
  rt_sigprocmask: [how, address, address, number],
  rt_sigqueueinfo: [int, signal, address],
  rt_tgsigqueueinfo: [int, int, signal, address],
  sendmsg: [int, address, messageFlags],
  sendto: [int, address, number, messageFlags, address, number],
  set_robust_list: [address, number],
  set_tid_address: [address],
  setitimer: [timer, address, address],
  setgroups: [number, address],
  setpgid: [int, int],
  setresgid: [int, int, int],
  setresuid: [int, int, int],
  setsockopt: [int, optionLevel, socketOption, address, number],
  shutdown: [int, shutdownHow],
  sigaltstack: [address, address],
  socket: [family, socketType, number],
  socketpair: [family, socketType, number, address],
  timer_create: [number, address, address],
  timer_settime: [int, hex, address, address],
  timerfd_create: [number, flagNames],
  timerfd_settime: [int, hex, address, address],
  umask: [octal],
  write: [int, address, number],
};

/** How many arguments a call of that name prints; undefined for one that the table does not know. */
export function argumentCount(name: SyscallName): number | undefined {
  return SIGNATURES[name]?.length;
}

/** One numeric argument of a system call, as strace prints it. */
export function formatArgument(name: SyscallName, index: number, value: bigint): string {
  const formatter = SIGNATURES[name]?.[index];
  if (formatter !== undefined) return formatter(BigInt.asUintN(64, value));
  return value >= -4096n && value <= 4096n ? value.toString() : hex(BigInt.asUintN(64, value));
}

/** A string argument, quoted and shortened. */
export function formatString(text: string, limit = 80): string {
  return text.length > limit ? `${quote(text.slice(0, limit))}...` : quote(text);
}

/** As strace does, and bytes that are no text as `\xNN`. */
function quote(text: string): string {
  return `"${printableName(text).replaceAll('"', '\\"')}"`;
}

/** A result of a system call: `3`, `0x7f0000000000`, `-1 ENOENT`. */
export function formatResult(result: bigint): string {
  if (isErrno(result)) return `-1 ${errnoName(-result)}`;
  return result >= 0n && result < 65536n ? result.toString() : hex(BigInt.asUintN(64, result));
}
