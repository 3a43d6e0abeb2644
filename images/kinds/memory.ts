/**
 * The images of memory.
 *
 * @module
 */

import { memfd_inode_entrySchema } from "../gen/memfd_pb.ts";
import { mm_entrySchema } from "../gen/memory_pb.ts";
import { pagemap_entrySchema, pagemap_headSchema } from "../gen/pages_pb.ts";
import { defineImageKind, defineRawImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";
import { PARENT } from "../parent.ts";

/** An address space, by the pid of a process that has it. */
export const MM = defineImageKind({
  name: "MM",
  file: "mm-%u.img",
  magic: MAGICS.MM,
  schema: mm_entrySchema,
});

/** Which pages of an address space are in which pages file, by pid. {@link encodePagemap} is the fast way. */
export const PAGEMAP = defineImageKind({
  name: "PAGEMAP",
  file: "pagemap-%u.img",
  magic: MAGICS.PAGEMAP,
  schema: pagemap_entrySchema,
  head: pagemap_headSchema,
  list: true,
});

/** The same for a shared memory object, by its shmid. */
export const SHMEM_PAGEMAP = defineImageKind({
  name: "PAGEMAP",
  file: "pagemap-shmem-%lu.img",
  magic: MAGICS.PAGEMAP,
  schema: pagemap_entrySchema,
  head: pagemap_headSchema,
  list: true,
});

/** Pages of 4 KiB one behind the other, by the `pages_id` of a pagemap's head. */
export const PAGES = defineRawImageKind({ name: "PAGES", file: "pages-%u.img" });

/**
 * Pagemaps of the inner parent ({@link PARENT}), by pid. There are the pages that several tasks have in common: their
 * pagemaps there name one pages file.
 */
export const PARENT_PAGEMAP = defineImageKind({
  name: "PAGEMAP",
  file: `${PARENT}/pagemap-%u.img`,
  magic: MAGICS.PAGEMAP,
  schema: pagemap_entrySchema,
  head: pagemap_headSchema,
  list: true,
});

/** The same for a shared memory object: what leads through the inner parent to the checkpoint before. */
export const PARENT_SHMEM_PAGEMAP = defineImageKind({
  name: "PAGEMAP",
  file: `${PARENT}/pagemap-shmem-%lu.img`,
  magic: MAGICS.PAGEMAP,
  schema: pagemap_entrySchema,
  head: pagemap_headSchema,
  list: true,
});

/** Pages in the inner parent, by the `pages_id` of a pagemap's head there. */
export const PARENT_PAGES = defineRawImageKind({ name: "PAGES", file: `${PARENT}/pages-%u.img` });

/** The inodes of memfds; the open files of them are in `files.img`. */
export const MEMFD_INODE = defineImageKind({
  name: "MEMFD_INODE",
  file: "memfd.img",
  magic: MAGICS.MEMFD_INODE,
  schema: memfd_inode_entrySchema,
  list: true,
});
