/**
 * Terminals as the images have them. Pure.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { CC_COUNT, type Termios, type WindowSize } from "../../core/linux/terminal.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import {
  type termios_entry,
  type termios_entrySchema,
  type tty_info_entry,
  TtyType,
  type winsize_entry,
  type winsize_entrySchema,
} from "../../images/gen/terminals_pb.ts";
import { TTY_INFO } from "../../images/kinds/files.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { uniqueById } from "../../images/unique.ts";

/** The ids of a pty's ends in `tty-info.img`, as CRIU counts them. */
export function masterId(index: number): number {
  return 2 * index + 1;
}
/** See {@link masterId}. */
export function slaveId(index: number): number {
  return 2 * index;
}

/** Whether an entry is of a master. */
export function isMaster({ id, type }: tty_info_entry): boolean {
  return type === TtyType.PTY && id < FIRST_OTHER && id % 2 === 1;
}

/** Whether an entry is of a slave that has been hung up: there is nothing that could be asked of it. */
export function isHungUpSlave(info: tty_info_entry): boolean {
  return info.type === TtyType.PTY && !isMaster(info) && info.termios === undefined;
}

/** Ids of terminals that CRIU's numbers have no room for begin here. */
export const FIRST_OTHER = 1 << 24;

/**
 * Special characters as CRIU has them: the bytes lie one behind the other in the words, of which there are as many as
 * characters, and the last ones mean nothing.
 */
export function packCharacters(cc: readonly number[]): number[] {
  const words = new Uint32Array(CC_COUNT);
  new Uint8Array(words.buffer).set(cc.slice(0, CC_COUNT));
  return [...words];
}

/** See {@link packCharacters}. */
export function unpackCharacters(words: readonly number[]): number[] {
  const all = Uint32Array.from({ length: CC_COUNT }, (_, at) => words[at] ?? 0);
  return [...new Uint8Array(all.buffer).subarray(0, CC_COUNT)];
}

/** `termios_entry` of modes. */
export function termiosImage(termios: Termios): MessageInitShape<typeof termios_entrySchema> {
  return {
    cIflag: termios.iflag,
    cOflag: termios.oflag,
    cCflag: termios.cflag,
    cLflag: termios.lflag,
    cLine: termios.line,
    cIspeed: termios.ispeed,
    cOspeed: termios.ospeed,
    cCc: packCharacters(termios.cc),
  };
}

/** Modes of a `termios_entry`. */
export function termiosOf(entry: termios_entry): Termios {
  return {
    iflag: entry.cIflag,
    oflag: entry.cOflag,
    cflag: entry.cCflag,
    lflag: entry.cLflag,
    line: entry.cLine & 0xff,
    ispeed: entry.cIspeed,
    ospeed: entry.cOspeed,
    cc: unpackCharacters(entry.cCc),
  };
}

/** `winsize_entry` of a window's size. */
export function windowImage(size: WindowSize): MessageInitShape<typeof winsize_entrySchema> {
  const { rows, columns, width, height } = size;
  return { wsRow: rows, wsCol: columns, wsXpixel: width, wsYpixel: height };
}

/** A window's size of a `winsize_entry`. */
export function windowOf({ wsRow, wsCol, wsXpixel, wsYpixel }: winsize_entry): WindowSize {
  return { rows: wsRow, columns: wsCol, width: wsXpixel, height: wsYpixel };
}

/** Each is asked for once for every file. */
const known = new WeakMap<ImageDirectory, ReadonlyMap<number, tty_info_entry>>();

/** The entries of `tty-info.img` by their ids. */
export function terminalInfos(images: ImageDirectory): ReadonlyMap<number, tty_info_entry> {
  let byId = known.get(images);
  if (byId === undefined) {
    const entries = images.has(TTY_INFO, null) ? images.readList(TTY_INFO, null) : [];
    byId = uniqueById(entries, ({ id }) => id, images.pathOf(TTY_INFO, null), "terminal");
    known.set(images, byId);
  }
  return byId;
}

/**
 * Whether an open file is of a terminal that is restored with the tree, not given anew: CRIU saves a slave whose
 * master was outside as it does others.
 */
export function isRestoredTerminal(file: file_entry, images: ImageDirectory): boolean {
  if (file.type !== fd_types.TTY || file.tty === undefined) return false;
  const infos = terminalInfos(images);
  const info = infos.get(file.tty.ttyInfoId);
  if (info === undefined || info.type === TtyType.EXT_TTY) return false;
  if (info.type !== TtyType.PTY || isMaster(info) || isHungUpSlave(info)) return true;
  return infos.has(masterId(info.pty?.index ?? 0));
}
