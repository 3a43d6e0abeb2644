import { deepEqual, equal, match, rejects } from "@std/assert";
import { dirname } from "node:path";
import { MM } from "../../images/kinds/memory.ts";
import { checkpoint, openImages, restore, type StasisError } from "../../mod.ts";
import { withHugePages } from "../harness/huge_pages.ts";
import { processTree, readProcess, waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { bringsBack, ImageHome, leavesAlone, save, settled } from "./round_trip.ts";

/** The kernel's own file behind private memory, which is the same for a child as for its parent, and matters to nobody. */
const IGNORED = [/\/map\/[^/]+\/file$/];
/** As many as the subject and its child touch and reserve, each by itself after a restore, and some more. */
const ENOUGH = 32;

for (
  const [how, trip] of [
    ["it is what it was after a restore", bringsBack],
    ["a checkpoint that lets it run changes nothing", leavesAlone],
  ] as const
) {
  Deno.test(`hugetlb: ${how}`, async (t) => {
    const room = Deno.makeTempDirSync();
    try {
      await withHugePages(
        room,
        ENOUGH,
        t,
        (directory) =>
          trip(t, "hugetlb", {
            args: [directory],
            ignore: IGNORED,
            options: { ghostLimit: 16n << 20n },
          }),
      );
    } finally {
      Deno.removeSync(room, { recursive: true });
    }
  });
}

Deno.test("hugetlb: a snapshot changes nothing, and brings it back", async (t) => {
  using room = new ImageHome();
  const home = dirname(room.directory);
  await withHugePages(home, ENOUGH, t, async (directory) => {
    await using subject = await Subject.start("hugetlb", { args: [directory] });
    const before = await settled(subject.pid, IGNORED);
    await checkpoint(subject.pid, {
      directory: room.directory,
      leaveRunning: true,
      // All memory that fork copies is a shadow's.
      options: { ...UNHURRIED, ghostLimit: 16n << 20n, snapshot: true, copyLimit: 0n },
    });
    deepEqual(diffSnapshots(before, takeSnapshot(subject.pid), { ignore: IGNORED }), []);
    for (const pid of processTree(subject.pid)) Deno.kill(pid, "SIGKILL");
    await subject.waitGone();
    const tree = await restore(room.directory);
    await subject.expectPass();
    await tree.wait();
  });
});

Deno.test("a restore for which there are no huge pages says so, and leaves nothing", async (t) => {
  const room = Deno.makeTempDirSync();
  try {
    using images = new ImageHome();
    await withHugePages(room, ENOUGH, t, async () => {
      await using subject = await Subject.start("hugetlb");
      await save(subject, images);
      const reserved = "/proc/sys/vm/nr_hugepages";
      const before = Deno.readTextFileSync(reserved);
      Deno.writeTextFileSync(reserved, "0");
      try {
        await rejects(() => restore(images.directory), (error: StasisError) => {
          match(error.message, /not enough huge pages reserved/);
          return true;
        });
      } finally {
        Deno.writeTextFileSync(reserved, before);
      }
      const tree = await restore(images.directory);
      await subject.expectPass();
      await tree.wait();
    });
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
});

/** Python with 32 MiB of memory that is to be in transparent huge pages, of which it has written every page. */
const TRANSPARENT = `import mmap, time
memory = mmap.mmap(-1, 32 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_HUGEPAGE)
for at in range(0, len(memory), 4096): memory[at] = at // 4096 % 251
print("ready", flush=True)
time.sleep(1000)`;

Deno.test("transparent huge pages stay huge", async (t) => {
  await using subject = await Subject.spawn("/usr/bin/python3", { args: ["-c", TRANSPARENT] });
  const { pid } = subject;
  await waitUntil(() => subject.output() === "ready\n", () => subject.errors());
  const huge = () =>
    Number(/^AnonHugePages: +(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`))?.[1]);
  const before = huge();
  if (before === 0) return skip(t, "there are no transparent huge pages to be had");
  using images = new ImageHome();
  await checkpoint(pid, { directory: images.directory, leaveRunning: true });
  equal(huge(), before);
  await subject.kill();
  await subject.waitGone();
  const tree = await restore(images.directory);
  equal(huge(), before);
  using again = new ImageHome();
  await checkpoint(pid, again);
  await tree.wait();
  const second = await restore(again.directory);
  equal(huge(), before);
  second.kill(9);
  await second.wait();
});

/** Maps a page of 1 GiB for which none need be there, and ends its first thread. */
const LEADERLESS = `import ctypes, threading, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
size, offset = ctypes.c_size_t(1 << 30), ctypes.c_long(0)
# MAP_PRIVATE, MAP_ANONYMOUS, MAP_HUGETLB, MAP_NORESERVE, MAP_HUGE_1GB
assert libc.mmap(None, size, 3, 0x22 | 0x40000 | 0x4000 | 30 << 26, -1, offset) != 2**64 - 1
threading.Thread(target=lambda: time.sleep(1000)).start()
libc.pthread_exit(None)`;

const hasGigabytes = [...Deno.readDirSync("/sys/kernel/mm/hugepages")]
  .some(({ name }) => name === "hugepages-1048576kB");

Deno.test({
  name: "the size of reserved huge pages is saved of a process whose first thread has ended, too",
  ignore: !hasGigabytes,
  async fn() {
    using images = new ImageHome();
    await using subject = await Subject.spawn("python3", { args: ["-c", LEADERLESS] });
    const { pid } = subject;
    try {
      await waitUntil(() => readProcess(pid)?.state === "Z", "its first thread to end");
      await checkpoint(pid, { directory: images.directory, leaveRunning: true });
      const { vmas } = openImages(images.directory).read(MM, pid);
      // MAP_HUGETLB, and behind MAP_HUGE_SHIFT the binary logarithm.
      deepEqual(
        vmas.filter(({ flags }) => (flags & 0x40000) !== 0).map(({ flags }) => flags >>> 26),
        [30],
      );
    } finally {
      // Its mark is not to be read any more: nobody else would end it.
      Deno.kill(pid, "SIGKILL");
    }
  },
});
