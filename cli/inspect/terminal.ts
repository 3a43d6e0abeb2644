/**
 * Terminals of an image directory in a few words.
 *
 * @module
 */
import { type tty_info_entry, TtyType } from "../../images/gen/terminals_pb.ts";
import { TTY_DATA } from "../../images/kinds/files.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { isHungUpSlave, isMaster, terminalInfos } from "../../plugins/tty/image.ts";
import { slavePath } from "../../plugins/tty/slave_path.ts";

/** What each terminal is, by its id. */
export function describeTerminals(images: ImageDirectory): ReadonlyMap<number, string> {
  const waiting = new Map<number, number>();
  for (const { ttyId, data } of images.has(TTY_DATA, null) ? images.readList(TTY_DATA, null) : []) {
    waiting.set(ttyId, data.byteLength);
  }
  return new Map(
    [...terminalInfos(images)].map(([id, info]) => [
      id,
      describeTerminal(info, waiting.get(id) ?? 0),
    ]),
  );
}

/**
 * Describes a terminal.
 *
 * @param waiting how many bytes wait for its reader
 */
export function describeTerminal(info: tty_info_entry, waiting: number): string {
  const parts = [nameOf(info)];
  const { winsize, sid, pgrp } = info;
  if (winsize !== undefined) parts.push(`${winsize.wsCol} x ${winsize.wsRow}`);
  if (isHungUpSlave(info)) parts.push("hung up");
  if (info.type === TtyType.EXT_TTY) parts.push("given at restore");
  else if (sid !== 0 && info.type !== TtyType.CTTY && !isMaster(info)) {
    parts.push(`controls session ${sid}, group ${pgrp} in the foreground`);
  }
  if (waiting > 0) parts.push(`${waiting} bytes wait to be read`);
  return parts.join("  ");
}

function nameOf(info: tty_info_entry): string {
  const { type, pty, rdev, dev = 0, sid } = info;
  switch (type) {
    case TtyType.PTY: {
      const path = slavePath(pty?.index ?? 0);
      return isMaster(info) ? `master of ${path}` : path;
    }
    case TtyType.CTTY:
      return sid === 0 ? "/dev/tty" : `/dev/tty of session ${sid}`;
    case TtyType.CONSOLE:
      return "console";
    default:
      return `tty[${rdev.toString(16)}:${dev.toString(16)}]`;
  }
}
