/**
 * Writes the contents of a shared memory object: only what it holds, found by SEEK_DATA.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE, pageAlign, remoteAddress } from "../../core/linux/address.ts";
import { errnoName, errnoNumber, isErrno } from "../../core/linux/errno.ts";
import { pread, syscall } from "../../core/linux/libc_ffi.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import { MAP, PROT } from "../../core/linux/mman.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { appendRun, type Run } from "./runs.ts";
import { writeAll, writeError } from "./target_writer.ts";

const SEEK_DATA = 3, SEEK_HOLE = 4;
/** What SEEK_DATA says behind the last data. */
const ENXIO = BigInt(errnoNumber("ENXIO"));

/** The parts of a file that hold data, in whole pages. */
export function dataRuns(fd: number, size: bigint, path: string): Run[] {
  const runs: Run[] = [];
  for (let at = 0n; at < size;) {
    const data = syscall(SYSCALLS.lseek, fd, at, SEEK_DATA);
    if (data === -ENXIO) break;
    const hole = isErrno(data) ? data : syscall(SYSCALLS.lseek, fd, data, SEEK_HOLE);
    if (isErrno(hole)) {
      const errno = errnoName(-hole);
      throw new StasisError("syscall", `${path} cannot be searched for data: ${errno}`, { errno });
    }
    const start = data / PAGE_SIZE * PAGE_SIZE;
    appendRun(runs, start, pageAlign(hole) - start);
    at = hole;
  }
  return runs;
}

/**
 * What is in the last page of a file behind its end: read(2) and the like do not tell, but whoever maps it sees it.
 *
 * @param size the file's, no whole number of pages
 * @throws {StasisError} `syscall`
 */
export function behindEnd(fd: number, size: bigint, path: string): Uint8Array {
  const start = size / PAGE_SIZE * PAGE_SIZE;
  const address = syscall(SYSCALLS.mmap, 0, PAGE_SIZE, PROT.READ, MAP.SHARED, fd, start);
  if (isErrno(address)) {
    const errno = errnoName(-address);
    throw new StasisError("syscall", `${path} cannot be mapped: ${errno}`, { errno });
  }
  try {
    using memory = new ProcessMemory(Deno.pid);
    const rest = Number(size - start);
    return memory.read(remoteAddress(address + BigInt(rest)), Number(PAGE_SIZE) - rest);
  } finally {
    syscall(SYSCALLS.munmap, address, PAGE_SIZE);
  }
}

/** At most so much by one call, between two of which it can be cancelled. */
const STEP = 4n << 20n;

/**
 * Copies runs of a file to the end of another one, within the kernel.
 *
 * @param step is called after each part, with its size
 */
export async function copyRuns(
  from: number,
  fromPath: string,
  to: number,
  toPath: string,
  runs: readonly Run[],
  step: (bytes: bigint) => Promise<void>,
): Promise<void> {
  let written = 0n;
  for (const { start, size } of runs) {
    const offset = new BigUint64Array([start]);
    for (let left = size; left > 0n;) {
      const count = syscall(SYSCALLS.sendfile, to, from, offset, left < STEP ? left : STEP);
      if (isErrno(count)) throw writeError(toPath, Number(count));
      // The end of a file that is no whole page: the rest of it reads as zero.
      if (count === 0n) break;
      left -= count;
      await step(count);
    }
    if ((offset[0] as bigint) < start + size && start + size - (offset[0] as bigint) >= PAGE_SIZE) {
      throw new StasisError("io", `${fromPath} became shorter while it was saved`);
    }
    written += size;
    // Pages files have whole pages.
    const end = syscall(SYSCALLS.ftruncate, to, written);
    if (isErrno(end)) throw writeError(toPath, Number(end));
    syscall(SYSCALLS.lseek, to, written, 0);
  }
}

/**
 * Copies the pages of a file of hugetlbfs that hold something to the end of another one. It tells of no holes
 * (SEEK_DATA), and gives nothing to sendfile(2): so each page is read, and left out where it is all zeros.
 *
 * @param pages the file's size, and that of one of its pages, in bytes
 * @param step is called after each page, with its size
 * @returns what was written
 */
export async function copyHugePages(
  from: number,
  fromPath: string,
  to: number,
  toPath: string,
  pages: { readonly size: bigint; readonly pageSize: number },
  step: (bytes: bigint) => Promise<void>,
): Promise<Run[]> {
  const buffer = new Uint8Array(Math.min(pages.pageSize, Number(STEP)));
  const words = new BigUint64Array(buffer.buffer);
  const runs: Run[] = [];
  let written = 0n;
  for (let at = 0n; at < pages.size; at += BigInt(buffer.byteLength)) {
    const count = pread(from, buffer, at);
    if (count !== buffer.byteLength) {
      throw new StasisError("io", `${fromPath} cannot be read at ${at}: ${count} bytes`);
    }
    if (words.some((word) => word !== 0n)) {
      writeAll(to, buffer, written, toPath);
      appendRun(runs, at, BigInt(count));
      written += BigInt(count);
    }
    await step(BigInt(count));
  }
  return runs;
}
