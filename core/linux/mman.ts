/**
 * Constants of memory mappings: mmap(2), mremap(2), madvise(2), mlock2(2), memfd_create(2) and the prctl(2)
 * options about an address space.
 *
 * @module
 */

/** PROT_* (include/uapi/asm-generic/mman-common.h). */
export const PROT = { NONE: 0, READ: 1, WRITE: 2, EXEC: 4 } as const;

/** MAP_* (include/uapi/linux/mman.h, asm-generic/mman-common.h, asm-generic/mman.h). */
export const MAP = {
  SHARED: 0x01,
  PRIVATE: 0x02,
  DROPPABLE: 0x08,
  FIXED: 0x10,
  ANONYMOUS: 0x20,
  GROWSDOWN: 0x100,
  LOCKED: 0x2000,
  NORESERVE: 0x4000,
  HUGETLB: 0x40000,
  FIXED_NOREPLACE: 0x100000,
} as const;

/** MREMAP_* (include/uapi/linux/mman.h). */
export const MREMAP = { MAYMOVE: 1, FIXED: 2 } as const;

/** MADV_* (include/uapi/asm-generic/mman-common.h). */
export const MADV = {
  RANDOM: 1,
  SEQUENTIAL: 2,
  DONTNEED: 4,
  REMOVE: 9,
  DONTFORK: 10,
  DOFORK: 11,
  MERGEABLE: 12,
  UNMERGEABLE: 13,
  HUGEPAGE: 14,
  NOHUGEPAGE: 15,
  DONTDUMP: 16,
  WIPEONFORK: 18,
  /** 5.14 and later. */
  POPULATE_WRITE: 23,
  /** 6.13 and later. */
  GUARD_INSTALL: 102,
} as const;

/** MLOCK_ONFAULT: the flag of mlock2(2). */
export const MLOCK_ONFAULT = 1;

/** MCL_* of mlockall(2) (include/uapi/asm-generic/mman.h). */
export const MCL = { FUTURE: 2, ONFAULT: 4 } as const;

/** MFD_* (include/uapi/linux/memfd.h). */
export const MFD = { CLOEXEC: 1, ALLOW_SEALING: 2, HUGETLB: 4 } as const;

/** Commands of fcntl(2) about seals, and the seals (include/uapi/linux/fcntl.h). */
export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;
export const F_SEAL_SEAL = 1;

/** Options of prctl(2) (include/uapi/linux/prctl.h). */
export const PR = {
  GET_DUMPABLE: 3,
  SET_MM: 35,
  SET_MM_MAP: 14,
  SET_MM_MAP_SIZE: 15,
  SET_THP_DISABLE: 41,
  GET_THP_DISABLE: 42,
  SET_MDWE: 65,
  GET_MDWE: 66,
  SET_MEMORY_MERGE: 67,
  GET_MEMORY_MERGE: 68,
  SET_VMA: 0x53564d41,
  SET_VMA_ANON_NAME: 0,
} as const;
