/**
 * What ioctl(2) tells of a terminal and changes in it, by a descriptor of this process. Numbers of
 * `include/uapi/asm-generic/ioctls.h`, structures of `termbits.h` and `termios.h` beside it.
 *
 * By the master of a pseudoterminal one asks for the slave's modes, session and group, and for what is common
 * to both (drivers/tty/tty_io.c and tty_ioctl.c: `real_tty`); its own modes are nobody's to see.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno, errnoName, isErrno } from "./errno.ts";
import { ioctl, syscall } from "./libc_ffi.ts";
import { defineStruct } from "./struct.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** Requests of ioctl_tty(2). */
export const TTY = {
  /** Flow: see {@link FLOW}. */
  TCXONC: 0x540a,
  TIOCEXCL: 0x540c,
  TIOCSCTTY: 0x540e,
  TIOCGPGRP: 0x540f,
  TIOCSPGRP: 0x5410,
  TIOCSTI: 0x5412,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  FIONREAD: 0x541b,
  TIOCPKT: 0x5420,
  TIOCNOTTY: 0x5422,
  TIOCGETD: 0x5424,
  TIOCGSID: 0x5429,
  TIOCGPTPEER: 0x5441,
  TIOCGLCKTRMIOS: 0x5456,
  TIOCSLCKTRMIOS: 0x5457,
  TCSETS2: 0x402c542b,
  TIOCSPTLCK: 0x40045431,
  TCGETS2: 0x802c542a,
  TIOCGDEV: 0x80045432,
  TIOCGPKT: 0x80045438,
  TIOCGPTLCK: 0x80045439,
  TIOCGEXCL: 0x80045440,
} as const;

/** What TCXONC does. */
export const FLOW = { OFF: 0, ON: 1 } as const;

/** Modes that are looked at here (`c_iflag`, `c_oflag`, `c_lflag`). */
export const MODES = {
  IXON: 0o2000,
  OPOST: 1,
  ISIG: 1,
  ICANON: 2,
  IEXTEN: 0o100000,
  EXTPROC: 0o200000,
} as const;

/** Places in `c_cc`. */
export const CC = { VEOF: 4, VTIME: 5, VMIN: 6, VSTART: 8, VSTOP: 9, VEOL: 11, VEOL2: 16 } as const;

/** How many special characters the kernel has (NCCS). */
export const CC_COUNT = 19;

/** The line discipline that every terminal has which is one (N_TTY); others make something else of the line. */
export const N_TTY = 0;

/** struct termios2: struct termios with speeds behind it. */
const Termios2 = defineStruct("termios2", 44, {
  iflag: [0, "u32"],
  oflag: [4, "u32"],
  cflag: [8, "u32"],
  lflag: [12, "u32"],
  line: [16, "u8"],
  ispeed: [36, "u32"],
  ospeed: [40, "u32"],
});
const CC_AT = 17;
const TERMIOS_SIZE = 36;

/** The modes of a terminal. */
export interface Termios {
  readonly iflag: number;
  readonly oflag: number;
  readonly cflag: number;
  readonly lflag: number;
  readonly line: number;
  /** Special characters, {@link CC_COUNT}. */
  readonly cc: readonly number[];
  /** Bits a second. */
  readonly ispeed: number;
  readonly ospeed: number;
}

/** struct termios2 of modes; struct termios is its beginning. */
export function encodeTermios({ cc, ...modes }: Termios): Uint8Array {
  const bytes = Termios2.make(modes);
  bytes.set(cc.slice(0, CC_COUNT), CC_AT);
  return bytes;
}

/** Modes of a struct termios2. */
export function decodeTermios(bytes: Uint8Array): Termios {
  const cc = [...bytes.subarray(CC_AT, CC_AT + CC_COUNT)];
  return { ...Termios2.read(bytes), cc };
}

/** struct winsize. */
const Winsize = defineStruct("winsize", 8, { rowcol: [0, "u32"], pixels: [4, "u32"] });

/** The size of a terminal's window. */
export interface WindowSize {
  /** In characters. */
  readonly rows: number;
  readonly columns: number;
  /** In pixels, 0 where nobody has said. */
  readonly width: number;
  readonly height: number;
}

/** struct winsize of a size. */
export function encodeWindowSize({ rows, columns, width, height }: WindowSize): Uint8Array {
  return Winsize.make({
    rowcol: ((rows & 0xffff) | columns << 16) >>> 0,
    pixels: ((width & 0xffff) | height << 16) >>> 0,
  });
}

function decodeWindowSize(bytes: Uint8Array): WindowSize {
  const { rowcol, pixels } = Winsize.read(bytes);
  return {
    rows: rowcol & 0xffff,
    columns: rowcol >>> 16,
    width: pixels & 0xffff,
    height: pixels >>> 16,
  };
}

/** An int for an ioctl. */
export function intBytes(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/** Makes a request with memory. @throws {StasisError} `syscall` */
export function ttyIoctl(fd: number, name: keyof typeof TTY, memory: Uint8Array): void {
  const result = ioctl(fd, TTY[name], memory);
  if (result >= 0) return;
  const errno = errnoName(BigInt(-result));
  throw new StasisError("syscall", `ioctl(${fd}, ${name}) failed: ${errno}`, { errno });
}

/** The int that a request tells. @throws {StasisError} `syscall` */
export function ttyInt(fd: number, name: keyof typeof TTY): number {
  const word = intBytes(0);
  ttyIoctl(fd, name, word);
  return new DataView(word.buffer).getInt32(0, true);
}

/** The same; 0 where the terminal has none of it (ENOTTY: no session, and so no group). */
export function ttyIntOrNone(fd: number, name: "TIOCGSID" | "TIOCGPGRP"): number {
  const word = intBytes(0);
  return ioctl(fd, TTY[name], word) < 0 ? 0 : new DataView(word.buffer).getInt32(0, true);
}

/** Whether a terminal has been hung up: every request fails then (hung_up_tty_ioctl() of drivers/tty/tty_io.c). */
export function isHungUp(fd: number): boolean {
  return ioctl(fd, TTY.TCGETS2, new Uint8Array(Termios2.size)) === -Errno.EIO;
}

/** Its modes. @throws {StasisError} `syscall` */
export function readTermios(fd: number): Termios {
  const bytes = new Uint8Array(Termios2.size);
  ttyIoctl(fd, "TCGETS2", bytes);
  return decodeTermios(bytes);
}

/** Sets its modes at once. @throws {StasisError} `syscall` */
export function setTermios(fd: number, termios: Termios): void {
  ttyIoctl(fd, "TCSETS2", encodeTermios(termios));
}

/** Which of its modes are locked: bits, and characters that are not 0. @throws {StasisError} `syscall` */
export function readLockedTermios(fd: number): Termios {
  const bytes = new Uint8Array(Termios2.size);
  ttyIoctl(fd, "TIOCGLCKTRMIOS", bytes.subarray(0, TERMIOS_SIZE));
  return decodeTermios(bytes);
}

/** The size of its window. @throws {StasisError} `syscall` */
export function readWindowSize(fd: number): WindowSize {
  const bytes = new Uint8Array(Winsize.size);
  ttyIoctl(fd, "TIOCGWINSZ", bytes);
  return decodeWindowSize(bytes);
}

/** Events of poll(2). */
export const POLL = { IN: 1, PRI: 2, OUT: 4, HUP: 0x10 } as const;

/** What a descriptor is ready for. By that the kernel also ends what is under way to a reader (n_tty_poll()). */
export function pollNow(fd: number): number {
  const pollfd = new Uint8Array(8);
  const view = new DataView(pollfd.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, POLL.IN | POLL.PRI | POLL.OUT, true);
  const result = syscall(SYSCALLS.poll, pollfd, 1, 0);
  return isErrno(result) ? 0 : view.getInt16(6, true);
}
