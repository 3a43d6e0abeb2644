/**
 * How a tree had the terminal of the shell that it was started from, as the images tell. Pure.
 *
 * @module
 */
import type { TerminalUse } from "../../core/restore/shell_terminal.ts";
import { type tty_info_entry, TtyType } from "../../images/gen/terminals_pb.ts";
import type { pstree_entry } from "../../images/gen/tree_pb.ts";
import { isMaster, masterId, termiosOf, windowOf } from "./image.ts";

/**
 * How a tree is to have the terminal of the shell that restores it: as it had its own, with the group in the
 * foreground that was there, or else its root's.
 *
 * @param tasks parents before children
 * @param infos the terminals of the images
 * @returns undefined where it has nothing to do with that: its root is in a session of the tree
 */
export function shellTerminalUse(
  tasks: readonly pstree_entry[],
  infos: ReadonlyMap<number, tty_info_entry>,
): TerminalUse | undefined {
  const root = tasks[0] as pstree_entry;
  const pids = new Set(tasks.map(({ pid }) => pid));
  if (pids.has(root.sid)) return undefined;
  // The group of a root that leads none is the tool's.
  const outer = pids.has(root.pgid) ? undefined : root.pgid;
  const groups = new Set(
    tasks.filter(({ sid, pgid }) => sid === root.sid && pgid !== outer).map(({ pgid }) => pgid),
  );
  const info = [...infos.values()].find((one) => one.sid === root.sid && isOutside(one, infos));
  const own = outer === undefined ? root.pgid : undefined;
  // What a shell had in its foreground meanwhile had modes of its own.
  if (info?.termios === undefined || !groups.has(info.pgrp) && info.pgrp !== outer) {
    return { group: own, termios: undefined, size: undefined, isBehind: info !== undefined };
  }
  return {
    group: groups.has(info.pgrp) ? info.pgrp : undefined,
    termios: termiosOf(info.termios),
    size: info.winsize === undefined ? undefined : windowOf(info.winsize),
  };
}

/** Whether a terminal's master was outside. */
function isOutside(info: tty_info_entry, infos: ReadonlyMap<number, tty_info_entry>): boolean {
  if (info.type === TtyType.EXT_TTY) return true;
  return info.type === TtyType.PTY && !isMaster(info) && !infos.has(masterId(info.pty?.index ?? 0));
}
