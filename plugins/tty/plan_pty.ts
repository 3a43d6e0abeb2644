/**
 * Making a pseudoterminal anew: the calls by which it is what it was.
 *
 * @module
 */
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import {
  encodeTermios,
  encodeWindowSize,
  FLOW,
  intBytes,
  type Termios,
  TTY,
} from "../../core/linux/terminal.ts";
import { planStatusFlags, reopenFlags } from "../../core/restore/owner.ts";
import type { Argument, CallResult, SyscallProgram } from "../../core/remote/program.ts";
import { type tty_file_entry, TtyFlow } from "../../images/gen/terminals_pb.ts";
import { BUFFER, outputPieces } from "./exchange.ts";
import { termiosOf, windowOf } from "./image.ts";
import type { Pty } from "./load.ts";
import { pieces, rawInput, rawOutput, STOP, stoppable, TYPED_EOF } from "./raw.ts";

/** The size of struct termios, which is the beginning of struct termios2. */
const TERMIOS_SIZE = 36;

/**
 * Adds the calls that make of a fresh master's pty what it was.
 *
 * @param mode of the slave's device node; absent where the images do not say
 * @returns the descriptors of its slaves, in their order
 */
export function planPty(
  program: SyscallProgram,
  master: CallResult,
  pty: Pty,
  mode: number | undefined,
): CallResult[] {
  const { info, slaveInfo, extra } = pty;
  const set = (fd: Argument, request: number, bytes: Uint8Array, note: string): void =>
    void program.call("ioctl", fd, request, program.data(bytes, note));
  const setModes = (fd: Argument, termios: Termios): void =>
    set(fd, TTY.TCSETS2, encodeTermios(termios), "modes");
  set(master, TTY.TIOCSPTLCK, intBytes(0), "unlocked");
  const slaves = pty.slaves.map((file) => openPeer(program, master, file.flags));
  const termios = info.termios === undefined ? undefined : termiosOf(info.termios);
  if (info.winsize !== undefined) {
    set(master, TTY.TIOCSWINSZ, encodeWindowSize(windowOf(info.winsize)), "window size");
  }
  // One that nobody has opened yet must not be opened: whoever reads the master would see that it has been closed. CRIU
  // does not tell, but that one which controls a session has been opened.
  if (slaves.length > 0 || (extra?.closed ?? info.sid !== 0)) {
    const slave = openPeer(program, master, O.RDWR | O.NONBLOCK);
    if (termios !== undefined) {
      fill(program, { master, slave }, pty, termios, (modes) => setModes(slave, modes));
    }
    if (slaveInfo !== undefined && slaves.length > 0) {
      const { uid, gid, exclusive } = slaveInfo;
      program.call("fchown", slave, uid, gid);
      if (mode !== undefined) program.call("fchmod", slave, mode & 0o7777);
      if (exclusive) program.call("ioctl", slave, TTY.TIOCEXCL, 0);
    }
    program.call("close", slave);
  }
  if (termios !== undefined) setModes(master, termios);
  if (info.termiosLocked !== undefined) {
    const locked = encodeTermios(termiosOf(info.termiosLocked)).subarray(0, TERMIOS_SIZE);
    if (locked.some((byte) => byte !== 0)) {
      set(master, TTY.TIOCSLCKTRMIOS, locked, "locked modes");
    }
  }
  if (info.locked) set(master, TTY.TIOCSPTLCK, intBytes(1), "locked");
  if (info.packetMode) set(master, TTY.TIOCPKT, intBytes(1), "packets");
  planStatusFlags(program, master, pty.master.flags, pty.master.flags & O.NONBLOCK);
  return slaves;
}

function openPeer(program: SyscallProgram, master: CallResult, flags: number): CallResult {
  // Of this call the kernel would keep O_CLOEXEC among the flags of the file, for all who have it.
  const how = reopenFlags(flags) | O.NOCTTY;
  const fd = program.call("ioctl", master, TTY.TIOCGPTPEER, how);
  planStatusFlags(program, fd, flags, how);
  return fd;
}

/** Puts back what was in it, as `contents.ts` does. */
function fill(
  program: SyscallProgram,
  { master, slave }: { readonly master: CallResult; readonly slave: CallResult },
  { input: data, output, extra }: Pty,
  termios: Termios,
  setModes: (termios: Termios) => void,
): void {
  const characters = new Map<number, Argument>();
  const push = (byte: number, fd = slave): void => {
    let character = characters.get(byte);
    if (character === undefined) {
      characters.set(byte, character = program.data(Uint8Array.of(byte), `character ${byte}`));
    }
    program.call("ioctl", fd, TTY.TIOCSTI, character);
  };
  for (const byte of output.subarray(0, BUFFER)) push(byte, master);
  const behind = output.subarray(BUFFER);
  if (behind.byteLength > 0) {
    setModes(rawOutput(termios));
    for (const { at, size } of outputPieces()) {
      const piece = behind.slice(at, at + size);
      if (piece.byteLength === 0) break;
      program.expect(BigInt(piece.byteLength), "write", slave, piece, piece.byteLength);
    }
  }
  let room = BUFFER;
  for (const { bytes, eof } of pieces({ data, eof: extra?.eof ?? [] })) {
    setModes(rawInput(termios, false));
    for (const byte of bytes.subarray(0, room)) push(byte);
    if (bytes.byteLength > room) {
      const rest = bytes.slice(room);
      program.expect(BigInt(rest.byteLength), "write", master, rest, rest.byteLength);
    }
    room = Math.max(0, room - bytes.byteLength);
    if (!eof) continue;
    setModes(rawInput(termios, true));
    push(TYPED_EOF);
  }
  if (extra?.flow === TtyFlow.BY_CALL) program.call("ioctl", slave, TTY.TCXONC, FLOW.OFF);
  if (extra?.flow === TtyFlow.BY_CHARACTER) {
    setModes(stoppable(termios));
    push(STOP);
  }
}

/** Adds the calls that make a slave which has been hung up: its master is closed at once. */
export function planHungUp(program: SyscallProgram, { flags }: tty_file_entry): CallResult {
  const master = program.call("openat", AT_FDCWD, "/dev/ptmx", O.RDWR | O.NOCTTY | O.CLOEXEC, 0);
  program.call("ioctl", master, TTY.TIOCSPTLCK, program.data(intBytes(0), "unlocked"));
  const slave = openPeer(program, master, flags);
  program.call("close", master);
  return slave;
}
