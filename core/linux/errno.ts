/**
 * errno values by number and by name, as `include/uapi/asm-generic/errno-base.h` and `errno.h` have
 * them (x86-64 uses them unchanged), with the restart codes that only the kernel and a tracer see
 * (`include/linux/errno.h`).
 *
 * @module
 */

const BASE =
  `EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK
EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS
EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ? ENOMSG EIDRM ECHRNG
EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT ? EBFONT
ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT
EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART
ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT
EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET
ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED
EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT
ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD
ENOTRECOVERABLE ERFKILL EHWPOISON`.split(/\s+/);

const NAMES = new Map<number, string>(BASE.map((name, index) => [index + 1, name]));
NAMES.delete(41);
NAMES.delete(58);
NAMES.set(512, "ERESTARTSYS").set(513, "ERESTARTNOINTR").set(514, "ERESTARTNOHAND")
  .set(516, "ERESTART_RESTARTBLOCK").set(524, "ENOTSUPP");

const NUMBERS = new Map<string, number>([...NAMES].map(([number, name]) => [name, number]));

/** The name of an errno, for example `EPERM` of 1; `errno 9999` of one that has none. */
export function errnoName(errno: number | bigint): string {
  return NAMES.get(Number(errno)) ?? `errno ${errno}`;
}

/** The number of an errno. @throws {RangeError} of a name that the kernel does not have */
export function errnoNumber(name: string): number {
  const number = NUMBERS.get(name);
  if (number === undefined) throw new RangeError(`no errno is named ${name}`);
  return number;
}

/** Whether the result of a raw system call is an error (-4095 to -1), as the kernel's IS_ERR_VALUE. */
export function isErrno(result: bigint): boolean {
  return result < 0n && result >= -4095n;
}

/** errno numbers that the code branches on. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  EROFS: 30,
  EPIPE: 32,
  ERANGE: 34,
  ENOSYS: 38,
  ENODATA: 61,
  ENOPROTOOPT: 92,
  EOPNOTSUPP: 95,
  EADDRNOTAVAIL: 99,
  ECONNRESET: 104,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EDQUOT: 122,
  /** Restart unless a handler without SA_RESTART runs. */
  ERESTARTSYS: 512,
  /** Restart always. */
  ERESTARTNOINTR: 513,
  /** Restart unless any handler runs. */
  ERESTARTNOHAND: 514,
  /** Restart through restart_syscall(2) and the task's restart block. */
  ERESTART_RESTARTBLOCK: 516,
} as const;
