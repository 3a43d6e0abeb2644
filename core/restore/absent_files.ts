/**
 * Files of a tree that are not there where it is restored, and come back as such: those of `/proc` of processes that
 * have ended, and those that others had when the tree got them by an event of fanotify(7).
 *
 * @module
 */
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import type { pstree_entry } from "../../images/gen/tree_pb.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { absentTaskIds } from "./dead_tasks.ts";
import { eventFiles, isLost } from "./event_files.ts";
import type { AbsentFiles } from "./ghosts.ts";
import { deadTaskIds, ghostIds, linkedIds } from "./file_remaps.ts";

/** What is restored, and how. */
export interface AbsentFilesRequest {
  readonly images: ImageDirectory;
  readonly files: {
    readonly all: ReadonlyMap<number, file_entry>;
    pathOf(id: number): string;
  };
  readonly tasks: readonly pstree_entry[];
  /** The tree still lives, and so do others: what it has is there. */
  readonly rehearsal: boolean;
  /** It is to have a pid namespace of its own. */
  readonly isApart: boolean;
  readonly note: (text: string) => void;
}

/** Finds them. Those of which the images do not tell are noted. */
export function findAbsent(
  { images, files, tasks, rehearsal, isApart, note }: AbsentFilesRequest,
): AbsentFiles {
  const dead = new Map(deadTaskIds(images));
  if (!rehearsal) {
    const inside = new Set(tasks.flatMap(({ pid, threads }) => [pid, ...threads]));
    for (const [id, pid] of absentTaskIds(files.all.values(), files.pathOf, inside, isApart)) {
      if (dead.has(id)) continue;
      dead.set(id, pid);
      note(
        `${
          files.pathOf(id)
        } is of a process that is not there: the tree has it as of one that has ended`,
      );
    }
  }
  const events = new Set<number>();
  // What was deleted at the checkpoint has been saved.
  const saved = new Set([...ghostIds(images).keys(), ...linkedIds(images).keys(), ...dead.keys()]);
  for (const id of eventFiles(images, files.all, tasks.map(({ pid }) => pid))) {
    const { reg } = files.all.get(id) as file_entry;
    const path = files.pathOf(id);
    // The tasks of the tree are not there yet.
    if (/^\/proc\/\d+(\/|$)/.test(path)) continue;
    if (saved.has(id) || reg === undefined || !isLost(reg, path)) continue;
    events.add(id);
    if (!rehearsal) {
      note(
        `${path}, which a task has by an event of fanotify, it seems, is not there: it comes back deleted, and empty`,
      );
    }
  }
  return { dead, events };
}
