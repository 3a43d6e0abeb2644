/**
 * `files.img` of the images that are restored.
 *
 * @module
 */
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import { FILES } from "../../images/kinds/files.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { StasisError } from "../../base/errors.ts";
import { splitPath } from "../linux/path_pieces.ts";
import { type OperationOptions, remapPath, type RestoredFiles } from "../plugin.ts";
import type { CallResult, SyscallProgram } from "../remote/program.ts";
import { type AbsentFiles, type GhostPlanner, Ghosts } from "./ghosts.ts";
import { validFiles } from "../../images/validate_files.ts";

const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;
/** O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC: what must not happen again when a file is opened anew. */
const ONCE = 0o100 | 0o200 | 0o1000;
const O_NOCTTY = 0o400;
/** O_PATH, O_DIRECTORY and O_CLOEXEC. */
const PASSING = 0o10000000 | 0o200000 | O_CLOEXEC;

/** The entries by id, and how regular ones are opened. */
export function restoredFiles(
  images: ImageDirectory,
  options: Pick<OperationOptions, "remap">,
): RestoredFiles & {
  readonly all: ReadonlyMap<number, file_entry>;
  /**
   * Adds the making of deleted files to the seed's program. Before it none of them can be opened.
   *
   * @param absent what is not there any more beside them
   */
  planGhosts(
    tree: GhostPlanner,
    absent: AbsentFiles,
    note: (text: string) => void,
  ): void;
} {
  const entries = images.has(FILES, null) ? images.readList(FILES, null) : [];
  const all = validFiles(entries, images.pathOf(FILES, null));
  const ghosts = new Ghosts(images);
  const get = (id: number): file_entry => {
    const entry = all.get(id);
    if (entry === undefined) {
      throw new StasisError("bad-image", `${images.path}/files.img has no file with the id ${id}`);
    }
    return entry;
  };
  const regular = (id: number) => {
    const { reg } = get(id);
    if (reg === undefined) {
      throw new StasisError("bad-image", `file ${id} of ${images.path} is no regular file entry`);
    }
    return reg;
  };
  const pathOf = (id: number): string => remapPath(regular(id).name, options);
  return {
    all,
    get,
    pathOf,
    planGhosts: (tree, absent, note) => ghosts.plan(tree, regular, absent, note),
    open(program, id, flags = regular(id).flags) {
      const kept = (flags & ~ONCE) | O_CLOEXEC | O_NOCTTY;
      const ghost = ghosts.open(program, id, kept);
      return ghost ?? planOpen(program, pathOf(id), kept);
    },
  };
}

/** Adds the calls that open a file, however long its path. @returns the descriptor */
function planOpen(program: SyscallProgram, path: string, flags: number): CallResult {
  const pieces = splitPath(path);
  const last = pieces[pieces.length - 1] as string;
  let at: CallResult | undefined;
  const open = (piece: string, how: number): CallResult => {
    const opened = program.call("openat", at ?? AT_FDCWD, piece, how, 0);
    if (at !== undefined) program.call("close", at);
    return opened;
  };
  for (const directory of pieces.slice(0, -1)) at = open(directory, PASSING);
  return open(last, flags);
}
