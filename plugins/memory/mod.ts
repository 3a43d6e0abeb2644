/**
 * The memory plugin: address spaces and what is in them.
 *
 * | what | image | brought back by |
 * |---|---|---|
 * | mappings, bounds, auxiliary vector, executable | `mm-PID.img` | mmap, prctl(PR_SET_MM_MAP) |
 * | names, seals, locks on fault, mlockall, MDWE | `mm-extra-PID.img` | prctl, mseal, mlock2, mlockall |
 * | pages | `pagemap-PID.img`, `pages-N.img` | preadv by the task itself |
 * | pages that tasks share copy-on-write | `parent/pagemap-PID.img`, `parent/pages-N.img` | preadv by a task that bears them, fork |
 * | shared anonymous memory, contents of memfds | `pagemap-shmem-ID.img`, `pages-N.img` | the seed, once |
 * | System V shared memory | `ipcns-shm-3.img`, `pagemap-shmem-ID.img` | shmget in the seed, shmat by each task |
 * | memfds | `memfd.img`, `files.img` | memfd_create in the seed, open of what was inherited |
 *
 * At a checkpoint a task writes its own pages: the memory bandwidth is used once, and all tasks work at the
 * same time. Only pages that hold something are written: no zero pages, nothing that a mapped file has.
 *
 * Kernel rules that force the order at restore: the executable can only be changed while nothing of the old
 * one is mapped; shared anonymous memory has no name, so the first process must have it and all others
 * inherit it; private pages come to be shared by fork alone, so who bears others must have them before; the vDSO can
 * be moved but not made; guards can be installed in no locked memory; seals of a memfd forbid mappings, and mseal(2)
 * everything else, so both come last.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import {
  MEMFD_INODE,
  MM,
  PAGEMAP,
  PAGES,
  PARENT_PAGEMAP,
  PARENT_PAGES,
  SHMEM_PAGEMAP,
} from "../../images/kinds/memory.ts";
import { memoryFeatures } from "./features.ts";
import { MM_EXTRA } from "../../images/kinds/mm_extra.ts";
import { IPCNS_SHM } from "../../images/kinds/sysv_ipc.ts";
import { checkpointMemory, checkpointOwnMemory } from "./checkpoint.ts";
import { restoreMemory } from "./restore.ts";

/** The memory plugin. */
export const memory: Plugin = definePlugin({
  name: "memory",
  description: "mappings, their contents, shared memory, memfds",
  images: [
    MM,
    PAGEMAP,
    SHMEM_PAGEMAP,
    PAGES,
    PARENT_PAGEMAP,
    PARENT_PAGES,
    MEMFD_INODE,
    MM_EXTRA,
    IPCNS_SHM,
  ],
  check: memoryFeatures,
  checkpoint: checkpointMemory,
  restore: restoreMemory,
});

/** The same, for a warm-up: it looks at nothing but the tasks that it is given. */
export const ownMemory: Plugin = { ...memory, checkpoint: checkpointOwnMemory };
