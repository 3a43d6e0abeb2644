import { deepEqual, equal } from "@std/assert";
import { MAP } from "../../core/linux/mman.ts";
import { parseSmaps, type Vma } from "../../core/linux/procfs/mod.ts";
import { VMA_ANON_PRIVATE, VMA_AREA_REGULAR } from "../../images/flags.ts";
import { adviceBits, describeVma, extraOf, mapFlags, unknownFlags } from "./vma_image.ts";
import { surveyFlags } from "./dumpers.ts";

function vma(line: string, flags: string, key = 0): Vma {
  const text = `${line}\nSize:                 64 kB\nKernelPageSize:        4 kB\n` +
    `ProtectionKey:         ${key}\nVmFlags: ${flags} \n`;
  return parseSmaps(new TextEncoder().encode(text))[0]!;
}
const anonymous = "7f0000000000-7f0000010000 rw-p 00000000 00:00 0 ";

Deno.test("mapFlags() tells what mmap was given", () => {
  const of = (line: string, flags: string) => mapFlags(vma(line, flags), true);
  equal(of(anonymous, "rd wr mr mw me ac"), MAP.PRIVATE | MAP.ANONYMOUS);
  equal(
    of(anonymous, "rd wr mr mw me gd lo nr"),
    MAP.PRIVATE | MAP.ANONYMOUS | MAP.GROWSDOWN | MAP.LOCKED | MAP.NORESERVE,
  );
  equal(of(anonymous, "rd wr mr mw me nr wf dd dp"), MAP.DROPPABLE | MAP.NORESERVE | MAP.ANONYMOUS);
  const shared = "7f0000000000-7f0000010000 rw-s 00000000 00:01 99 /dev/zero (deleted)";
  equal(of(shared, "rd wr sh mr mw me ms"), MAP.SHARED | MAP.ANONYMOUS);
});

Deno.test("adviceBits() has bit N for advice N of madvise", () => {
  equal(adviceBits(vma(anonymous, "rd wr")), 0n);
  equal(
    adviceBits(vma(anonymous, "rd wr dc dd wf hg")),
    1n << 10n | 1n << 16n | 1n << 18n | 1n << 14n,
  );
});

Deno.test("describeVma() leaves madv out where nothing is advised, as CRIU does", () => {
  const status = VMA_AREA_REGULAR | VMA_ANON_PRIVATE;
  const image = describeVma(vma(anonymous, "rd wr mr mw me"), { status, anonymous: true });
  deepEqual({ ...image }, {
    start: 0x7f0000000000n,
    end: 0x7f0000010000n,
    pgoff: 0n,
    shmid: 0n,
    prot: 3,
    flags: 0x22,
    status,
    fd: -1n,
    madv: undefined,
    fdflags: undefined,
  });
});

Deno.test("extraOf() is there only for what CRIU cannot say", () => {
  equal(extraOf(vma(anonymous, "rd wr mr mw me lo")), undefined);
  equal(extraOf(vma(anonymous, "rd wr lo lf"))?.lockOnFault, true);
  equal(extraOf(vma(anonymous, "rd wr sl"))?.sealed, true);
  const named = "7f0000000000-7f0000010000 rw-p 00000000 00:00 0 [anon:a [b]]";
  equal(extraOf(vma(named, "rd wr"))?.name, "a [b]");
  const shared = "7f0000000000-7f0000010000 rw-s 00000000 00:01 9 [anon_shmem:pool]";
  equal(extraOf(vma(shared, "rd wr sh"))?.name, "pool");
});

Deno.test("surveyFlags() refuses what would be lost", () => {
  const says = (flags: string, key = 0, line = anonymous) =>
    surveyFlags(vma(line, flags, key))?.what ?? "";
  equal(says("rd wr mr mw me ac"), "");
  equal(/userfaultfd/.test(says("rd wr uw")), true);
  equal(/shadow stack/.test(says("rd wr ss")), true);
  equal(/MAP_SYNC/.test(says("rd wr sf")), true);
  equal(/MAP_SYNC/.test(says("rd wr sf")), true);
  equal(/protection key 3/.test(says("rd wr", 3)), true);
  // The kernel gives memory that may only be executed a key by itself.
  equal(says("ex mr mw me", 1, "7f0000000000-7f0000010000 --xp 00000000 00:00 0 "), "");
});

Deno.test("unknownFlags() tells flags of a kernel to come, and those that it does not name", () => {
  deepEqual(unknownFlags(vma(anonymous, "rd wr mr mw me ac sd lo")), []);
  deepEqual(unknownFlags(vma(anonymous, "rd wr zz ?? ac")), ["zz", "??"]);
});
