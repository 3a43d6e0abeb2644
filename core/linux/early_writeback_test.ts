import { equal, ok } from "@std/assert";
import { skip } from "../../tests/harness/skip.ts";
import { waitUntil } from "../../tests/harness/processes.ts";
import { EarlyWriteback } from "./early_writeback.ts";
import { Errno, isErrno } from "./errno.ts";
import { cString, pwrite, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const SIZE = 32 << 20;
const TMPFS_MAGIC = 0x01021994;

/** How many pages of an open file wait for being written to the disk: `nr_dirty` of cachestat(2). */
function dirtyPages(fd: number): number {
  const range = new Uint8Array(new BigUint64Array([0n, BigInt(SIZE)]).buffer);
  const stat = new BigUint64Array(5);
  const result = syscall(SYSCALLS.cachestat, fd, range, new Uint8Array(stat.buffer), 0);
  if (isErrno(result)) throw new Error(`cachestat: ${result}`);
  return Number(stat[1]);
}

/** Why that cannot be asked of a file, if it cannot. */
function unaskable(path: string, fd: number): string | undefined {
  if (syscall(SYSCALLS.cachestat, fd, 0, 0, 0) === -BigInt(Errno.ENOSYS)) return "no cachestat(2)";
  const statfs = new BigUint64Array(15);
  syscall(SYSCALLS.statfs, cString(path), new Uint8Array(statfs.buffer));
  return Number(statfs[0]) === TMPFS_MAGIC ? "temporary files are not on a disk" : undefined;
}

/** A file of {@link SIZE} bytes of which nothing has been written to the disk. */
function makeDirty(): { path: string; file: OwnedDescriptor } & Disposable {
  const path = Deno.makeTempFileSync();
  const file = new OwnedDescriptor(Number(syscall(SYSCALLS.openat, -100, cString(path), 2, 0)));
  // Not by Deno: of a file that was emptied, ext4 begins with all of it when it is closed.
  equal(pwrite(file.fd, new Uint8Array(SIZE).fill(1), 0n), SIZE);
  const remove = () => {
    file[Symbol.dispose]();
    Deno.removeSync(path);
  };
  return { path, file, [Symbol.dispose]: remove };
}

/** How many descriptors of this process lead to a file. */
function openings(path: string): number {
  return [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`) === path;
    } catch {
      return false; // Others open and close theirs.
    }
  }).length;
}

/** @returns whether the disk was given the one file and not the other: others may have all written to it meanwhile */
async function beginsWithOne(): Promise<boolean> {
  using other = makeDirty();
  using one = makeDirty();
  const write = async () => {
    await using early = new EarlyWriteback(one.path);
    equal(openings(one.path), 2);
    early.written(0n, 1n << 20n);
    early.written(1n << 20n, BigInt(SIZE));
    await waitUntil(() => dirtyPages(one.file.fd) === 0, "the disk to have been given all of it");
    return dirtyPages(other.file.fd) > 0;
  };
  const isOne = await write();
  equal(openings(one.path), 1);
  return isOne;
}

Deno.test("EarlyWriteback begins with what is written, and leaves nothing open", async (t) => {
  using first = makeDirty();
  const why = unaskable(first.path, first.file.fd);
  if (why !== undefined) return skip(t, why);
  let tries = 0;
  while (!await beginsWithOne()) ok(++tries < 20, "it was always others who did it");
});
