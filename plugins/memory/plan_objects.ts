/**
 * Shared memory objects at restore. The seed makes each and fills it; every task inherits it as a descriptor
 * in the service range, and maps or opens that.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE, pageAlign } from "../../core/linux/address.ts";
import { F_ADD_SEALS, F_SEAL_SEAL, MADV, MAP, MFD, PROT } from "../../core/linux/mman.ts";
import type { RestoreSession, TreePlanner } from "../../core/plugin.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import type { memfd_inode_entry } from "../../images/gen/memfd_pb.ts";
import { SEGMENT_PAGES } from "../../images/kinds/sysv_ipc.ts";
import { explainNoPages } from "../../core/restore/no_huge_pages.ts";
import { asksForReserved, pageSizeOf, roundUp } from "./huge_pages.ts";
import { iovecs } from "./runs.ts";
import { checkPagesFiles } from "./validate.ts";
import { readTransfers, type SavedRun } from "./saved_pages.ts";
import { objectRuns } from "./task_runs.ts";
import { SHARED_MEMORY_NAME } from "./shared_objects.ts";

const O_RDONLY = 0, O_RDWR = 2;
const AT_FDCWD = -100;
/** The bits of flags of mmap(2) that say the size of huge pages. */
const HUGE_SIZE = 0x3f << 26;
/** The seed maps one object after the other to fill it, so far behind the parked vDSO. */
const WINDOW_DISTANCE = 1n << 30n;

/** An object. */
export interface PlannedObject {
  readonly shmid: bigint;
  /** In bytes. */
  readonly size: bigint;
  /** Its entry, if it is a memfd. */
  readonly memfd?: memfd_inode_entry;
  /** The descriptor number under which every task has it. */
  readonly service: number;
}

/** All objects of a tree. */
export class ObjectPlans {
  readonly #session: RestoreSession;
  readonly #sizes = new Map<bigint, bigint>();
  /** Of shared anonymous memory of reserved huge pages: the flags of mmap(2) that say which. */
  readonly #hugeFlags = new Map<bigint, number>();
  readonly #inodes = new Map<bigint, memfd_inode_entry>();
  readonly #planned = new Map<bigint, PlannedObject>();
  #window = 0n;

  constructor(session: RestoreSession) {
    this.#session = session;
  }

  /** Notes a memfd. */
  addMemfd(entry: memfd_inode_entry): void {
    this.#inodes.set(entry.inodeId, entry);
  }

  /** Notes that a mapping needs shared anonymous memory of at least this size. @param flags its flags of mmap(2) */
  addAnonymous(shmid: bigint, size: bigint, flags: number): void {
    if (asksForReserved(flags)) this.#hugeFlags.set(shmid, MAP.HUGETLB | flags & HUGE_SIZE);
    const known = this.#sizes.get(shmid) ?? 0n;
    this.#sizes.set(shmid, size > known ? size : known);
  }

  /** Whether there are any. */
  get isEmpty(): boolean {
    return this.#sizes.size === 0 && this.#inodes.size === 0;
  }

  /** The object behind a mapping of shared anonymous memory. @throws {StasisError} `bad-image` */
  anonymous(shmid: bigint): PlannedObject {
    const object = this.#planned.get(shmid);
    if (object === undefined) throw missing(`shared memory object ${shmid}`);
    return object;
  }

  /** The object behind a memfd. @throws {StasisError} `bad-image` */
  memfd(inodeId: number): PlannedObject {
    const entry = this.#inodes.get(BigInt(inodeId));
    const object = entry && this.#planned.get(BigInt(entry.shmid));
    if (object === undefined) throw missing(`memfd ${inodeId}`);
    return object;
  }

  /** Adds the making of all objects to the seed's program. */
  plan(tree: TreePlanner): void {
    const [first] = tree.tasks;
    if (first === undefined) return;
    this.#window = first.parkedVdso + WINDOW_DISTANCE;
    const open = new Set(
      [...this.#inodes.values()].filter(isAnonymous).map(({ shmid }) => BigInt(shmid)),
    );
    for (const [shmid, size] of this.#sizes) {
      // Where it is open too, the entry knows how large it is.
      if (open.has(shmid)) continue;
      // What no task maps any more may still hold pages, and mremap(2) may map them again.
      const last = this.#runs(shmid).at(-1);
      const end = last === undefined ? 0n : last.start + last.size;
      this.#planOne(tree, shmid, end > size ? end : pageAlign(size), undefined);
    }
    for (const entry of this.#inodes.values()) {
      const shmid = BigInt(entry.shmid);
      if (!isAnonymous(entry)) this.#planOne(tree, shmid, entry.size, entry);
      else this.#planOpen(tree, shmid, entry);
    }
  }

  /** Shared anonymous memory that is open as a file too, which may have any size then. */
  #planOpen(tree: TreePlanner, shmid: bigint, entry: memfd_inode_entry): void {
    const { size, uid, gid, mode = 0 } = entry;
    const { service } = this.#planOne(tree, shmid, pageAlign(size) || PAGE_SIZE, undefined);
    if (size % PAGE_SIZE !== 0n || size === 0n) tree.seed.call("ftruncate", service, size);
    if (uid !== 0 || gid !== 0) tree.seed.call("fchown", service, uid, gid);
    if (mode !== 0) tree.seed.call("fchmod", service, mode & 0o7777);
  }

  #planOne(
    tree: TreePlanner,
    shmid: bigint,
    size: bigint,
    memfd: memfd_inode_entry | undefined,
  ): PlannedObject {
    const { seed } = tree;
    const service = tree.service();
    const huge = memfd === undefined
      ? this.#hugeFlags.get(shmid) ?? 0
      : (memfd.hugetlbFlag ?? 0) & (MFD.HUGETLB | HUGE_SIZE);
    const page = huge === 0 ? PAGE_SIZE : pageSizeOf(huge);
    const window = roundUp(this.#window, page);
    const length = roundUp(size, page);
    const prot = PROT.READ | PROT.WRITE;
    const explain = huge === 0 ? undefined : explainNoPages;
    if (memfd === undefined) {
      const flags = MAP.SHARED | MAP.ANONYMOUS | MAP.NORESERVE | MAP.FIXED_NOREPLACE | huge;
      seed.explained(explain, "mmap", window, length, prot, flags, -1, 0);
      const path = `/proc/self/map_files/${window.toString(16)}-${(window + length).toString(16)}`;
      tree.keep(seed.call("openat", AT_FDCWD, path, O_RDWR, 0), service);
    } else {
      const fd = seed.call("memfd_create", memfd.name, MFD.ALLOW_SEALING | huge);
      if (size > 0n) {
        seed.call("ftruncate", fd, size);
        const flags = MAP.SHARED | MAP.NORESERVE | MAP.FIXED_NOREPLACE;
        seed.explained(explain, "mmap", window, length, prot, flags, fd, 0);
      }
      if (memfd.uid !== 0 || memfd.gid !== 0) seed.call("fchown", fd, memfd.uid, memfd.gid);
      if (memfd.mode !== undefined && memfd.mode !== 0) {
        seed.call("fchmod", fd, memfd.mode & 0o7777);
      }
      tree.keep(fd, service);
    }
    if (length > 0n) {
      this.#fill(tree, shmid, window, huge !== 0);
      seed.call("munmap", window, length);
    }
    const object = { shmid, size, memfd, service };
    this.#planned.set(shmid, object);
    return object;
  }

  /**
   * Adds calls that give System V shared memory its contents.
   *
   * @param size in bytes
   * @param page the size of its pages
   * @param made whether the seed has just made it: it is empty then
   */
  fillSegment(tree: TreePlanner, id: number, size: bigint, page: bigint, made: boolean): void {
    const { seed } = tree;
    const window = roundUp(this.#window, page);
    seed.expect(window, "shmat", id, window, 0);
    if (!made) seed.call("madvise", window, roundUp(size, page), MADV.REMOVE);
    this.#fill(tree, SEGMENT_PAGES + BigInt(id), window, page !== PAGE_SIZE);
    seed.call("shmdt", window);
  }

  /** The saved pages of an object. */
  #runs(shmid: bigint): readonly SavedRun[] {
    const runs = objectRuns(this.#session.images, shmid);
    checkPagesFiles(runs);
    return runs;
  }

  /** @param huge whether its pages are reserved ones */
  #fill(tree: TreePlanner, shmid: bigint, window: bigint, huge: boolean): void {
    const shifted = this.#runs(shmid).map((run) => ({ ...run, start: run.start + window }));
    // What there is no page for is told by its errno alone, and a read of it would not say why.
    for (const { start, size } of huge ? shifted : []) {
      tree.seed.explained(explainNoPages, "madvise", start, size, MADV.POPULATE_WRITE);
    }
    for (const [pages, runs] of Map.groupBy(shifted, ({ pages }) => pages)) {
      addReads(tree.seed, tree.serviceFile(pages, O_RDONLY), runs);
    }
  }

  /**
   * Adds the seals of all memfds, when everything is mapped: F_SEAL_WRITE and its like would forbid that.
   *
   * @param program of any task
   */
  planSeals(program: SyscallProgram): void {
    for (const { memfd, service } of this.#planned.values()) {
      if (memfd === undefined || memfd.seals === 0) continue;
      program.call("fcntl", service, F_ADD_SEALS, memfd.seals);
    }
  }
}

/**
 * Whether an entry is shared anonymous memory. Only the name tells, and that it cannot be sealed: a memfd
 * that has the same of both would only get another name in /proc.
 */
function isAnonymous({ name, seals }: memfd_inode_entry): boolean {
  return name === SHARED_MEMORY_NAME && seals === F_SEAL_SEAL;
}

/** Adds the reads of runs from one pages file. */
export function addReads(
  program: SyscallProgram,
  pages: Argument,
  runs: readonly SavedRun[],
): void {
  for (const { runs: parts, offset, size } of readTransfers(runs)) {
    const vector = program.data(iovecs(parts), `${parts.length} iovecs`);
    program.expect(size, "preadv", pages, vector, parts.length, offset, 0);
  }
}

function missing(what: string): StasisError {
  return new StasisError("bad-image", `the images refer to ${what}, which they do not have`);
}
