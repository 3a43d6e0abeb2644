import assert from "@std/assert";
import { remoteAddress } from "../address.ts";
import {
  appendPageRuns,
  decodePagemapEntry,
  decodePageRegions,
  PageIs,
  PAGEMAP_SCAN,
  type PagemapAccess,
  type PageRegion,
  pageRegion,
  pmScanArg,
  scanPages,
} from "./pagemap.ts";

// Recorded on 6.18 as root: a private page that was written, a page of a file, the zero page, a hole,
// and a guard region (bits 62 and 58).
const WRITTEN = 0x8100_0000_001b_73d4n;
const FILE = 0xa100_0000_0014_a146n;
const ZERO = 0x8000_0000_0000_3b34n;
const GUARD = 0x4400_0000_0000_009fn;

const bytesOf = (...entries: bigint[]) => new Uint8Array(new BigUint64Array(entries).buffer);
const plain = (regions: readonly PageRegion[]) =>
  regions.map((region) => [Number(region.start), Number(region.end), region.categories]);
const range = (start: number, end: number) => ({
  start: remoteAddress(BigInt(start)),
  end: remoteAddress(BigInt(end)),
});

Deno.test("decodePagemapEntry() reads each bit", () => {
  assert.deepEqual(decodePagemapEntry(WRITTEN), {
    present: true,
    swapped: false,
    fileOrShared: false,
    guard: false,
    uffdWriteProtected: false,
    exclusive: true,
    softDirty: false,
    frame: 0x1b73d4n,
  });
  const { present, swapped, fileOrShared, guard } = decodePagemapEntry(GUARD);
  assert.deepEqual([present, swapped, fileOrShared, guard], [false, true, false, true]);
  assert.equal(decodePagemapEntry(FILE).fileOrShared, true);
  assert.equal(decodePagemapEntry(1n << 57n).uffdWriteProtected, true);
  assert.equal(decodePagemapEntry(1n << 55n).softDirty, true);
  assert.equal(decodePagemapEntry(1n << 55n).frame, 0n);
});

Deno.test("appendPageRuns() joins equal pages, skips holes and goes on over chunks", () => {
  const regions: PageRegion[] = [];
  appendPageRuns(bytesOf(0n, WRITTEN, WRITTEN, FILE, 0n, GUARD, ZERO), 0x10000n, regions, 0x3b34n);
  appendPageRuns(bytesOf(ZERO, WRITTEN), 0x17000n, regions, 0x3b34n);
  assert.deepEqual(plain(regions), [
    [0x11000, 0x13000, PageIs.PRESENT],
    [0x13000, 0x14000, PageIs.PRESENT | PageIs.FILE],
    [0x15000, 0x16000, PageIs.SWAPPED | PageIs.GUARD],
    [0x16000, 0x18000, PageIs.PRESENT | PageIs.PFNZERO],
    [0x18000, 0x19000, PageIs.PRESENT],
  ]);
});

Deno.test("appendPageRuns() takes a zero page for one with contents where its frame is unknown", () => {
  const regions: PageRegion[] = [];
  appendPageRuns(bytesOf(ZERO, WRITTEN), 0n, regions);
  assert.deepEqual(plain(regions), [[0, 0x2000, PageIs.PRESENT]]);
});

Deno.test("pmScanArg has the layout and the request number of the kernel's header", () => {
  // _IOWR('f', 16, size): direction 3 in bits 30-31, size in 16-29, type in 8-15, number in 0-7.
  const request = 3 * 2 ** 30 + (pmScanArg.size << 16) + (0x66 << 8) + 16;
  assert.equal(PAGEMAP_SCAN, request);
  const bytes = pmScanArg.make({ size: 96n, start: 2n, walkEnd: 4n, vec: 5n, returnMask: 11n });
  assert.deepEqual(
    [...new BigUint64Array(bytes.buffer as ArrayBuffer)],
    [96n, 0n, 2n, 0n, 4n, 5n, 0n, 0n, 0n, 0n, 0n, 11n],
  );
});

Deno.test("decodePageRegions() reads the array that the kernel fills", () => {
  const bytes = bytesOf(0x1000n, 0x3000n, 8n, 0x3000n, 0x4000n, 272n, 9n, 9n, 9n);
  assert.deepEqual(plain(decodePageRegions(bytes, 2)), [
    [0x1000, 0x3000, 8],
    [0x3000, 0x4000, 272],
  ]);
});

/** A process of nine pages from 0x10000 on, as a kernel of the wished kind would show it. */
const PAGES = [0n, WRITTEN, WRITTEN, FILE, 0n, GUARD, ZERO, ZERO, WRITTEN];

interface FakeKernel extends PagemapAccess {
  readonly calls: string[];
}

/** @param categories The ioctl's categories; undefined for a kernel without it. */
function fakeKernel(categories: number | undefined, maxRegions = 2048): FakeKernel {
  let vector = new Uint8Array(0);
  const calls: string[] = [];
  return {
    fd: 7,
    zeroFrame: 0x3b34n,
    calls,
    addressOf: (buffer) => {
      vector = buffer as Uint8Array<ArrayBuffer>;
      return 0x5000n;
    },
    pread: (_fd, buffer, offset) => {
      calls.push(`pread ${offset}`);
      const from = Number(offset / 8n) - 0x10;
      const entries = bytesOf(...PAGES.slice(from, from + buffer.length / 8));
      buffer.set(entries);
      return entries.length;
    },
    ioctl: (_fd, request, bytes) => {
      calls.push("ioctl");
      if (categories === undefined || request !== PAGEMAP_SCAN) return -25;
      const argument = pmScanArg.read(bytes);
      const returned = Number(argument.returnMask);
      if (returned & ~categories) return -22;
      assert.equal(argument.vec, 0x5000n);
      const first = Number(argument.start) / 4096 - 0x10;
      const last = Number(argument.end) / 4096 - 0x10;
      const regions: PageRegion[] = [];
      appendPageRuns(
        bytesOf(...PAGES.slice(first, last)),
        argument.start,
        regions,
        0x3b34n,
      );
      const shown = regions.slice(0, maxRegions);
      shown.forEach((region, i) => {
        const fields = { ...region, categories: BigInt(region.categories & returned) };
        pageRegion.write(vector, fields, i * pageRegion.size);
      });
      const walkEnd = shown.length < regions.length ? shown.at(-1)!.end : argument.end;
      pmScanArg.write(bytes, { walkEnd });
      return shown.length;
    },
  };
}

const EVERY = 0x1ff;
const RANGES = [range(0x10000, 0x12000), range(0x12000, 0x14000), range(0x15000, 0x18000)];
const EXPECTED = [
  [0x11000, 0x12000, PageIs.PRESENT],
  [0x12000, 0x13000, PageIs.PRESENT],
  [0x13000, 0x14000, PageIs.PRESENT | PageIs.FILE],
  [0x15000, 0x16000, PageIs.SWAPPED | PageIs.GUARD],
  [0x16000, 0x18000, PageIs.PRESENT | PageIs.PFNZERO],
];

Deno.test("scanPages() gives the same answer on all kinds of kernels", () => {
  for (const categories of [EVERY, EVERY & ~PageIs.GUARD, undefined]) {
    assert.deepEqual(plain(scanPages(fakeKernel(categories), RANGES)), EXPECTED);
  }
});

Deno.test("scanPages() goes on where the kernel ran out of room, and reads nothing", () => {
  const kernel = fakeKernel(EVERY, 2);
  assert.deepEqual(plain(scanPages(kernel, RANGES)), EXPECTED);
  assert.deepEqual(kernel.calls, ["ioctl", "ioctl"]);
});

Deno.test("scanPages() gives nothing twice where the kernel tells a stale walk_end", () => {
  // 6.18 with more than 512 regions: all of them are there, and walk_end is somewhere in the middle.
  const kernel = fakeKernel(EVERY);
  let first = true;
  const stale: PagemapAccess = {
    ...kernel,
    ioctl: (fd, request, bytes) => {
      const count = kernel.ioctl(fd, request, bytes);
      if (first) pmScanArg.write(bytes, { walkEnd: 0x12000n });
      first = false;
      return count;
    },
  };
  assert.deepEqual(plain(scanPages(stale, RANGES)), EXPECTED);
});

Deno.test("scanPages() reads only the asked ranges on a kernel without the ioctl", () => {
  const kernel = fakeKernel(undefined);
  scanPages(kernel, RANGES);
  assert.deepEqual(kernel.calls, ["ioctl", "pread 128", "pread 144", "pread 168"]);
});

Deno.test("scanPages() of nothing is nothing, and beyond the end of memory too", () => {
  assert.deepEqual(scanPages(fakeKernel(EVERY), []), []);
  assert.deepEqual(scanPages(fakeKernel(undefined), [range(0x20000, 0x30000)]), []);
});

Deno.test("scanPages() names the errno of a kernel that refuses", () => {
  const kernel = { ...fakeKernel(EVERY), ioctl: () => -1 };
  const refused = { name: "StasisError", code: "syscall", errno: "EPERM" };
  assert.throws(() => scanPages(kernel, RANGES), refused);
});
