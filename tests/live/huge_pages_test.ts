import { match, rejects } from "@std/assert";
import { checkpoint, restore, type StasisError } from "../../mod.ts";
import { withHugePages } from "../harness/huge_pages.ts";
import { Subject } from "../harness/subject.ts";
import { bringsBack, ImageHome, leavesAlone, save } from "./round_trip.ts";

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
        (directory) => trip(t, "hugetlb", { args: [directory], ignore: IGNORED }),
      );
    } finally {
      Deno.removeSync(room, { recursive: true });
    }
  });
}

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

Deno.test("a deleted file of hugetlbfs is refused, and the program does not notice", async (t) => {
  const room = Deno.makeTempDirSync();
  try {
    using images = new ImageHome();
    await withHugePages(room, 1, t, async (directory) => {
      await using subject = await Subject.spawn("/bin/bash", {
        args: ["-c", `exec 5>${directory}/f; rm ${directory}/f; echo ready; exec sleep 1000`],
      });
      await subject.waitReady();
      const { directory: to } = images;
      await rejects(() => checkpoint(subject.pid, { directory: to }), (error: StasisError) => {
        match(
          error.problems.map(({ what }) => what).join("\n"),
          /of reserved huge pages \(hugetlbfs\)/,
        );
        return true;
      });
    });
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
});
