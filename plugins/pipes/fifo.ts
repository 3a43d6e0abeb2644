/**
 * Fifos (named pipes): each open file description is opened by its path.
 *
 * The image is CRIU's: a `fifo_entry` for the description, which refers to a `reg_file_entry` of its own
 * with the path, flags and owner, and the contents once in `fifo-data.img`.
 *
 * @module
 */
import type { Whereabouts } from "../../core/checkpoint/file_location.ts";
import type { DescriptorDump, DescriptorPlan, FileTable } from "../../core/plugin.ts";
import { F, O } from "../../core/linux/fcntl.ts";
import { planStatusFlags, reopenFlags } from "../../core/restore/owner.ts";
import type { Argument } from "../../core/remote/program.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import { type Contents, planContents } from "./pipe.ts";

/**
 * Describes an open fifo.
 *
 * @param pipeId what all descriptions of this fifo have in common
 */
export function fifoImage(
  files: FileTable,
  { descriptor, id, fown }: DescriptorDump,
  pipeId: number,
  { path, behind }: Whereabouts,
) {
  const { info, identity } = descriptor;
  const flags = info.flags & ~O.CLOEXEC;
  const regfId = files.add((id) => ({
    type: fd_types.REG,
    reg: { id, flags, pos: 0n, fown, name: path, mode: identity.mode },
  }));
  if (behind !== undefined) files.ghost(regfId, behind);
  return { type: fd_types.FIFO, fifo: { id, pipeId, regfId } };
}

/**
 * Adds calls that open a fifo which has had no writer since it was opened (see `unwritten.ts`). Nothing is in it.
 *
 * @param size the size of its buffer in bytes; absent where the images do not say
 */
export function planUnwrittenFifo(
  { file, program, tree }: DescriptorPlan,
  size: number | undefined,
): Argument {
  const pathId = pathIdOf(file);
  const flags = tree.files.get(pathId).reg?.flags ?? O.RDONLY;
  // Without O_NONBLOCK it would wait for a writer.
  const how = reopenFlags(flags) | O.NONBLOCK;
  const fd = tree.files.open(program, pathId, how);
  if (size !== undefined) program.expect(BigInt(size), "fcntl", fd, F.SETPIPE_SZ, size);
  planStatusFlags(program, fd, flags, how);
  return fd;
}

/**
 * Adds calls that open a fifo. Opening one end waits for the other (fifo_open() of `fs/pipe.c`), so the
 * fifo is held open in both directions meanwhile.
 *
 * @param contents what to fill it with; given for one description of each fifo only
 */
export function planFifo(
  { file, program, tree }: DescriptorPlan,
  contents: Contents | undefined,
): Argument {
  const pathId = pathIdOf(file);
  const flags = tree.files.get(pathId).reg?.flags ?? O.RDONLY;
  const keeper = tree.files.open(program, pathId, O.RDWR | O.NONBLOCK);
  if (contents !== undefined) planContents(program, keeper, contents, (flags & O.DIRECT) !== 0);
  const how = reopenFlags(flags);
  const fd = tree.files.open(program, pathId, how);
  planStatusFlags(program, fd, flags, how);
  program.call("close", keeper);
  return fd;
}

/** The id of the entry with the path: the description's own in images of CRIU before 1.6. */
export function pathIdOf({ fifo }: file_entry): number {
  return fifo?.regfId || (fifo?.id ?? 0);
}
