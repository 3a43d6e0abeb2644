import assert, { deepEqual, equal, ok } from "@std/assert";
import { checkpoint, openImages, restore, type StasisError } from "../../mod.ts";
import { MM, PAGEMAP, PAGES } from "../../images/kinds/memory.ts";
import { VMA_AREA_VDSO } from "../../images/flags.ts";
import { planRestore } from "../../mod.ts";
import { takeSnapshot } from "../harness/snapshot.ts";
import { diffSnapshots } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { allVariants, variantName } from "../harness/variants.ts";
import { bringsBack, ImageHome, leavesAlone, problemsOf } from "./round_trip.ts";

/** What `VmFlags` tells of the past, and no restore can bring back. */
const IGNORED: Readonly<Record<string, readonly RegExp[]>> = {
  // Memory that was writable once and never written to counts as committed (`ac`), until a newer kernel's
  // mprotect(2) looks at it again.
  mem_many: [/\/map\/.*\/flags$/],
  // For the same reason neighbours are one mapping that were two.
  mem_family: [/\/map\//],
  // A sealed memfd is mapped from a descriptor that cannot write (no `sh`).
  mem_seals: [/\/map\/.*\/flags$/],
};

for (const { name, args } of allVariants("mem_")) {
  const title = variantName(name, args);
  const ignore = IGNORED[name];
  Deno.test(`${title}: it is what it was after a restore`, (t) =>
    bringsBack(t, name, { args, ignore }));
  Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
    leavesAlone(t, name, { args }));
}

/** The mappings of a process: range, permissions, and flags. */
function mappingsOf(pid: number): string[] {
  const lines: string[] = [];
  for (const line of Deno.readTextFileSync(`/proc/${pid}/smaps`).split("\n")) {
    if (/^[0-9a-f]+-/.test(line)) lines.push(line.split(" ").slice(0, 3).join(" "));
    else if (line.startsWith("VmFlags:")) {
      // sd tells that a page was written since somebody looked, ac that it was writable once.
      lines.push(line.replace(/ (sd|ac)\b/g, "").trim());
    }
  }
  return lines;
}

for (const name of ["mem_anon", "mem_madvise", "mem_growsdown", "mem_file_private"]) {
  Deno.test(`restore() gives ${name} every mapping with its flags, as the images say`, async () => {
    using images = new ImageHome();
    await using subject = await Subject.start(name);
    const before = mappingsOf(subject.pid);
    await checkpoint(subject.pid, images);
    await restore(images.directory);
    deepEqual(mappingsOf(subject.pid), before);
    const { vmas } = openImages(images.directory).read(MM, subject.pid);
    const ranges = vmas.filter(({ status }) => status !== 1 << 16)
      .map(({ start, end }) => `${start.toString(16).padStart(8, "0")}-${end.toString(16)}`);
    const shown = before.filter((line) => /^[0-9a-f]+-/.test(line))
      .map((line) => line.split(" ")[0]);
    deepEqual(ranges, shown);
    await subject.expectPass();
  });
}

Deno.test("checkpoint() writes pages that hold something, and no others", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("mem_anon");
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  const saved = openImages(images.directory);
  const { entries, pagesId } = saved.readPagemap(PAGEMAP, subject.pid);
  const has = (address: bigint): boolean =>
    entries.some(({ vaddr, nrPages }) =>
      vaddr <= address && address < vaddr + BigInt(nrPages) * 4096n
    );
  const at = (name: string): bigint => BigInt(subject.fact(name));
  ok(has(at("full")));
  for (let page = 0n; page < 64n; page++) {
    equal(has(at("sparse") + page * 4096n), page % 7n === 0n, `sparse page ${page}`);
    equal(has(at("untouched") + page * 4096n), false);
  }
  ok(has(at("noreserve") + (1n << 35n)));
  equal(has(at("noreserve")), false);
  const pages = entries.reduce((sum, { nrPages }) => sum + nrPages, 0);
  equal(Deno.statSync(saved.pathOf(PAGES, pagesId)).size, pages * 4096);
  await subject.expectPass();
});

Deno.test("restore() refuses the vDSO of another kernel before it builds anything", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("mem_brk");
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  const saved = openImages(images.directory);
  const { vmas } = saved.read(MM, subject.pid);
  const vdso = vmas.find(({ status }) => (status & VMA_AREA_VDSO) !== 0)!;
  const { entries, pagesId } = saved.readPagemap(PAGEMAP, subject.pid);
  let offset = 0;
  for (const { vaddr, nrPages } of entries) {
    if (vaddr <= vdso.start && vdso.start < vaddr + BigInt(nrPages) * 4096n) {
      offset += Number(vdso.start - vaddr);
      break;
    }
    offset += nrPages * 4096;
  }
  using file = Deno.openSync(saved.pathOf(PAGES, pagesId), { write: true });
  file.seekSync(offset + 100, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array([0xde, 0xad]));
  await assert.rejects(planRestore(images.directory), (error: StasisError) => {
    ok(error.problems.some(({ plugin, what }) => plugin === "memory" && what.includes("vDSO")));
    return true;
  });
});

Deno.test("checkpoint() says what memory it cannot save, and why", async () => {
  await using subject = await Subject.spawn("/usr/bin/python3", {
    args: [
      "-c",
      [
        "import ctypes, mmap, os, shutil, sys, time",
        "libc = ctypes.CDLL(None)",
        "libc.shmat.restype = ctypes.c_void_p",
        "id = libc.shmget(0, 8192, 0o600)",
        "at = libc.shmat(id, None, 0)",
        "libc.shmctl(id, 0, None)",
        "libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]",
        "libc.mmap(at + 4096, 4096, 3, 0x32, -1, 0)",
        "open('gone', 'wb').write(b'x' * 2097152)",
        "file = open('gone', 'r+b')",
        "gone = mmap.mmap(file.fileno(), 8192)",
        "file.close()",
        "os.remove('gone')",
        "context = ctypes.c_long(0)",
        "libc.syscall(206, 4, ctypes.byref(context))",
        "ctypes.memset(context.value + 16, 0, 4)",
        "vdso = next(line for line in open('/proc/self/maps') if '[vdso]' in line)",
        "start, end = (int(part, 16) for part in vdso.split()[0].split('-'))",
        "libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(end - start), 7)",
        "ctypes.memset(end - 1, 0x90, 1)",
        "print('ready', flush=True)",
        "time.sleep(1000)",
      ].join("\n"),
    ],
  });
  await subject.waitReady();
  const problems = await problemsOf(subject.pid);
  for (const part of ["System V", "gone, of 2097152 bytes", "io_setup", "vDSO"]) {
    const found = problems.find(({ plugin, what }) => plugin === "memory" && what.includes(part));
    assert.ok(found, `${part} is not among ${JSON.stringify(problems)}`);
    equal(typeof found?.hint, "string", part);
  }
  equal(subject.alive, true);
});

Deno.test("checkpoint() lends the target a descriptor only for as long as it lasts", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("mem_anon", { args: ["200"] });
  const before = takeSnapshot(subject.pid);
  const controller = new AbortController();
  let chunks = 0;
  await assert.rejects(
    checkpoint(subject.pid, {
      directory: images.directory,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.kind !== "progress" || event.done === 0n) return;
        // In the middle of the pages: some are written, most are not.
        if (event.done < event.total) chunks++;
        controller.abort();
      },
    }),
    { code: "cancelled" },
  );
  ok(chunks > 0, "it was cancelled too late");
  deepEqual(diffSnapshots(before, takeSnapshot(subject.pid)), []);
  await subject.expectPass();
});
