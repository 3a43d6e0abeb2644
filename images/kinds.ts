/**
 * The kinds of image that scripts want to read most: `images.read(kinds.mm, pid)`.
 *
 * @module
 */
import type { fdinfo_entrySchema, file_entrySchema } from "./gen/descriptors_pb.ts";
import type { inventory_entrySchema } from "./gen/inventory_pb.ts";
import type { mm_entrySchema } from "./gen/memory_pb.ts";
import type { fs_entrySchema } from "./gen/paths_pb.ts";
import type { sud_entrySchema } from "./gen/sud_pb.ts";
import type { core_entrySchema } from "./gen/thread_pb.ts";
import type { pstree_entrySchema, task_kobj_ids_entrySchema } from "./gen/tree_pb.ts";
import type { ImageKind } from "./kind.ts";
import { CORE, IDS, INVENTORY, PSTREE } from "./kinds/core.ts";
import { FDINFO, FILES, FS } from "./kinds/files.ts";
import { MM } from "./kinds/memory.ts";
import { SUD } from "./kinds/sud.ts";

/** Kinds with the type of their messages and ids; what is a list is read by `readList()`. */
export interface Kinds {
  /** The version, and the plugins that are needed. */
  readonly inventory: ImageKind<typeof inventory_entrySchema, null, false>;
  /** The processes, parents before their children. */
  readonly pstree: ImageKind<typeof pstree_entrySchema, null, true>;
  /** A thread, by its tid. */
  readonly core: ImageKind<typeof core_entrySchema, number, false>;
  /** What a process shares, by its pid. */
  readonly ids: ImageKind<typeof task_kobj_ids_entrySchema, number, false>;
  /** The mappings of an address space, by pid. */
  readonly mm: ImageKind<typeof mm_entrySchema, number, false>;
  /** Working directory, root and umask, by pid. */
  readonly fs: ImageKind<typeof fs_entrySchema, number, false>;
  /** The descriptors of a table, by its `files_id`. */
  readonly fdinfo: ImageKind<typeof fdinfo_entrySchema, number, true>;
  /** Every open file. */
  readonly files: ImageKind<typeof file_entrySchema, null, true>;
  /** Syscall User Dispatch of the threads that have it on. */
  readonly sud: ImageKind<typeof sud_entrySchema, null, true>;
}

/** Them. */
export const kinds: Kinds = {
  inventory: INVENTORY,
  pstree: PSTREE,
  core: CORE,
  ids: IDS,
  mm: MM,
  fs: FS,
  fdinfo: FDINFO,
  files: FILES,
  sud: SUD,
};
