/**
 * The images of descriptors, open files and what is in pipes.
 *
 * @module
 */

import { fdinfo_entrySchema, file_entrySchema } from "../gen/descriptors_pb.ts";
import { file_lock_entrySchema } from "../gen/file_locks_pb.ts";
import { ghost_file_entrySchema } from "../gen/ghost_pb.ts";
import {
  file_length_entrySchema,
  file_time_entrySchema,
  fs_entrySchema,
  link_remap_entrySchema,
  remap_file_path_entrySchema,
} from "../gen/paths_pb.ts";
import { pipe_data_entrySchema } from "../gen/pipes_pb.ts";
import { sk_packet_entrySchema } from "../gen/sockets_pb.ts";
import {
  tty_data_entrySchema,
  tty_extra_entrySchema,
  tty_info_entrySchema,
} from "../gen/terminals_pb.ts";
import { ghostLength } from "../ghost_chunks.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** The descriptors of a table, by its `files_id`. */
export const FDINFO = defineImageKind({
  name: "FDINFO",
  file: "fdinfo-%u.img",
  magic: MAGICS.FDINFO,
  schema: fdinfo_entrySchema,
  list: true,
});

/** Every open file description of the tree, whatever its type. */
export const FILES = defineImageKind({
  name: "FILES",
  file: "files.img",
  magic: MAGICS.FILES,
  schema: file_entrySchema,
  list: true,
});

/** Working directory, root and umask, by pid. */
export const FS = defineImageKind({
  name: "FS",
  file: "fs-%u.img",
  magic: MAGICS.FS,
  schema: fs_entrySchema,
});

/** Open files whose path leads elsewhere or nowhere. */
export const REMAP_FPATH = defineImageKind({
  name: "REMAP_FPATH",
  file: "remap-fpath.img",
  magic: MAGICS.REMAP_FPATH,
  schema: remap_file_path_entrySchema,
  list: true,
});

/** Which files the names lead to that a checkpoint has made. The magic reads `LNK1`. */
export const LINK_REMAPS = defineImageKind({
  name: "LINK_REMAPS",
  file: "link-remaps.img",
  magic: 0x314b4e4c,
  schema: link_remap_entrySchema,
  list: true,
});

/** When files were last modified. The magic reads `FTM1`. */
export const FILE_TIMES = defineImageKind({
  name: "FILE_TIMES",
  file: "file-times.img",
  magic: 0x314d5446,
  schema: file_time_entrySchema,
  list: true,
});

/** How long files were that are open for writing. The magic reads `FLN1`. */
export const FILE_LENGTHS = defineImageKind({
  name: "FILE_LENGTHS",
  file: "file-lengths.img",
  magic: 0x314e4c46,
  schema: file_length_entrySchema,
  list: true,
});

/** A deleted file with its contents, by its ghost id; the extra is the contents or {@link GhostChunk}s. */
export const GHOST_FILE = defineImageKind({
  name: "GHOST_FILE",
  file: "ghost-file-%x.img",
  magic: MAGICS.GHOST_FILE,
  schema: ghost_file_entrySchema,
  extra: { length: ghostLength },
});

const PIPE_BYTES = { length: (pipe: { readonly bytes: number }) => pipe.bytes };

/** What was in the pipes. */
export const PIPES_DATA = defineImageKind({
  name: "PIPES_DATA",
  file: "pipes-data.img",
  magic: MAGICS.PIPES_DATA,
  schema: pipe_data_entrySchema,
  list: true,
  extra: PIPE_BYTES,
});

/** What was in the fifos. */
export const FIFO_DATA = defineImageKind({
  name: "FIFO_DATA",
  file: "fifo-data.img",
  magic: MAGICS.FIFO_DATA,
  schema: pipe_data_entrySchema,
  list: true,
  extra: PIPE_BYTES,
});

/** What waits in sockets to be received: one entry a message, the bytes as its extra. */
export const SK_QUEUES = defineImageKind({
  name: "SK_QUEUES",
  file: "sk-queues.img",
  magic: MAGICS.SK_QUEUES,
  schema: sk_packet_entrySchema,
  list: true,
  extra: { length: ({ length }: { readonly length: number }) => length },
});

/** The terminals. */
export const TTY_INFO = defineImageKind({
  name: "TTY_INFO",
  file: "tty-info.img",
  magic: MAGICS.TTY_INFO,
  schema: tty_info_entrySchema,
  list: true,
});

/** What waited in terminals to be read. */
export const TTY_DATA = defineImageKind({
  name: "TTY_DATA",
  file: "tty-data.img",
  magic: MAGICS.TTY_DATA,
  schema: tty_data_entrySchema,
  list: true,
});

/** What ptys have that CRIU's images cannot say. The magic reads `TTY1`. */
export const TTY_EXTRA = defineImageKind({
  name: "TTY_EXTRA",
  file: "tty-extra.img",
  magic: 0x31595454,
  schema: tty_extra_entrySchema,
  list: true,
});

/** The locks and leases that the tasks hold. */
export const FILE_LOCKS = defineImageKind({
  name: "FILE_LOCKS",
  file: "filelocks.img",
  magic: MAGICS.FILE_LOCKS,
  schema: file_lock_entrySchema,
  list: true,
});
