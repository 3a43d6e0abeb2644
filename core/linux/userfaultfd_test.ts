import { deepEqual, equal } from "@std/assert";
import { PAGE_SIZE, remoteAddress } from "./address.ts";
import { isErrno } from "./errno.ts";
import { addressOf, cString, ioctl, syscall } from "./libc_ffi.ts";
import { MADV, MAP, PROT } from "./mman.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { scanMarked, scanWritten, sizeOfSmallPages, type WrittenScan } from "./procfs/mod.ts";
import { hasWriteTracking, UFFD_FLAGS, WriteTracker } from "./userfaultfd.ts";
import { ProcessMemory } from "./memory.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const PAGES = 8n;

Deno.test({
  name: "WriteTracker has scanWritten() tell what was written to since it was protected",
  ignore: !hasWriteTracking(),
  fn() {
    const made = syscall(SYSCALLS.userfaultfd, UFFD_FLAGS);
    equal(isErrno(made), false);
    const tracker = WriteTracker.open(new OwnedDescriptor(Number(made)));
    if (typeof tracker === "string") throw new Error(tracker);
    using _ = tracker;
    const flags = MAP.PRIVATE | MAP.ANONYMOUS;
    const size = PAGES * PAGE_SIZE;
    const address = syscall(SYSCALLS.mmap, 0, size, PROT.READ | PROT.WRITE, flags, -1, 0);
    using unmapping = new DisposableStack();
    unmapping.defer(() => void syscall(SYSCALLS.munmap, address, size));
    syscall(SYSCALLS.madvise, address, size, MADV.NOHUGEPAGE);
    const at = (page: bigint) => remoteAddress(address + page * PAGE_SIZE);
    const range = { start: at(0n), end: at(PAGES) };
    using memory = new ProcessMemory(Deno.pid);
    using pagemap = new OwnedDescriptor(
      Number(syscall(SYSCALLS.openat, -100, cString("/proc/self/pagemap"), 0, 0)),
    );
    const access = { fd: pagemap.fd, ioctl, addressOf };
    const scan = (what: WrittenScan) => scanWritten(access, range, what);
    equal(scan("protect"), undefined, "it is not registered");
    equal(scanMarked(access, range), undefined);
    equal(tracker.register(range), true);
    deepEqual(scanMarked(access, range), []);
    for (const page of [1n, 2n, 5n]) memory.write(at(page), Uint8Array.of(1));
    equal(sizeOfSmallPages(access, range), 3n * PAGE_SIZE);
    deepEqual(scan("protect"), [{ start: at(1n), end: at(3n), categories: 2 }, {
      start: at(5n),
      end: at(6n),
      categories: 2,
    }]);
    deepEqual(scan("protect"), []);
    deepEqual(scanMarked(access, range)?.map(({ start }) => start), [at(1n), at(5n)]);
    memory.write(at(2n), Uint8Array.of(1));
    memory.write(at(7n), Uint8Array.of(1));
    const ends = scan("look")?.map(({ start, end }) => [start, end]);
    deepEqual(ends, [[at(0n), at(1n)], [at(2n), at(5n)], [at(6n), at(8n)]]);
    equal(tracker.unprotect(range), true);
    deepEqual(scan("look")?.map(({ start, end }) => [start, end]), [[at(0n), at(8n)]]);
    deepEqual(scanMarked(access, range), []);
  },
});
