/**
 * The objects behind shared memory, at the checkpoint: shared anonymous memory and memfds, which live on the
 * same file system inside the kernel. Each is saved once, whoever maps it or has it open.
 *
 * @module
 */
import { hugePageSize } from "../../core/checkpoint/file_location.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { F_GET_SEALS, F_SEAL_SEAL, MFD } from "../../core/linux/mman.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { CheckpointSession } from "../../core/plugin.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { MEMFD_INODE } from "../../images/kinds/memory.ts";
import { sizeFlag } from "./huge_pages.ts";
import { openPath } from "./open_path.ts";

/** What the kernel calls the file behind shared anonymous memory (shmem_zero_setup() of `mm/shmem.c`). */
export const SHARED_MEMORY_NAME = "/dev/zero";

const O_RDWR = 2, O_LARGEFILE = 0o100000;

/** One object. */
export interface SharedObject {
  /** Its inode: the `shmid` of its images. */
  readonly shmid: bigint;
  /** A path below /proc that leads to it. */
  readonly path: string;
}

/** Gathers the objects while mappings and descriptors are saved. */
export class SharedObjects {
  readonly #session: CheckpointSession;
  readonly #objects = new Map<bigint, SharedObject>();
  readonly #memfdInodes = new Map<bigint, number>();
  readonly #memfdFiles = new Map<bigint, number>();

  constructor(session: CheckpointSession) {
    this.#session = session;
  }

  /** All objects so far. */
  get all(): readonly SharedObject[] {
    return [...this.#objects.values()];
  }

  /** Notes an object whose contents must be saved. */
  note(shmid: bigint, path: string): void {
    if (!this.#objects.has(shmid)) this.#objects.set(shmid, { shmid, path });
  }

  /**
   * The id of a memfd in `memfd.img`; writes its entry when it is met first.
   *
   * @param name as it was created with
   * @param path leads to it
   */
  memfdInode(inode: bigint, name: string, path: string): number {
    let id = this.#memfdInodes.get(inode);
    if (id !== undefined) return id;
    id = this.#memfdInodes.size;
    this.#memfdInodes.set(inode, id);
    this.note(inode, path);
    using file = openPath(path, 0);
    const info = Deno.statSync(path);
    const pageSize = hugePageSize(path);
    const seals = syscall(SYSCALLS.fcntl, file.fd, F_GET_SEALS, 0);
    this.#session.writer.append(MEMFD_INODE, null, {
      inodeId: BigInt(id),
      name,
      uid: info.uid ?? 0,
      gid: info.gid ?? 0,
      size: BigInt(info.size),
      shmid: Number(inode),
      seals: isErrno(seals) ? F_SEAL_SEAL : Number(seals),
      hugetlbFlag: pageSize && (MFD.HUGETLB | sizeFlag(pageSize)),
      mode: info.mode ?? undefined,
    });
    return id;
  }

  /** The id in `files.img` by which mappings refer to a memfd. */
  memfdFile(inode: bigint, name: string, path: string): number {
    let id = this.#memfdFiles.get(inode);
    if (id === undefined) {
      const inodeId = this.memfdInode(inode, name, path);
      id = this.#session.files.add((id) => ({
        type: fd_types.MEMFD,
        memfd: { id, flags: O_RDWR | O_LARGEFILE, pos: 0n, fown: NO_OWNER, inodeId },
      }));
      this.#memfdFiles.set(inode, id);
    }
    return id;
  }
}
