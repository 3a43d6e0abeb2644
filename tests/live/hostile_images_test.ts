/**
 * Hostile images: whatever stands in them, they are shown and restored, or refused with one clear error, and nothing
 * is touched that the plan does not show. The cases come from real checkpoints (tests/fuzz); `deno task fuzz` tries
 * more of them.
 */
import assert from "@std/assert";
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { fileURLToPath } from "node:url";
import { EXIT_STATUS } from "../../base/errors.ts";
import { deleteTable, newTable, NfTables } from "../../core/linux/net/nf_tables.ts";
import { VMA_FILE_SHARED } from "../../images/flags.ts";
import { PSTREE } from "../../images/kinds/core.ts";
import { INET_LOCK } from "../../images/kinds/inet.ts";
import { FILES } from "../../images/kinds/files.ts";
import { MM, PAGEMAP } from "../../images/kinds/memory.ts";
import { CLOCKS } from "../../images/kinds/time.ts";
import { encodePagemap } from "../../images/pagemap.ts";
import { encodeImage, ImageDirectory, type ListKind, PE_PRESENT } from "../../images/mod.ts";
import { checkpoint, planRestore, restore } from "../../mod.ts";
import { HostileDirectory } from "../fuzz/evaluate.ts";
import { readImages } from "../fuzz/corpus.ts";
import { mutate } from "../fuzz/mutate.ts";
import { FuzzRoom, tryCases } from "../fuzz/watch.ts";
import { randomOf, recorded } from "../fuzz/worker.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf, ImageRoom } from "../harness/unharmed.ts";

const STOP_PLUGIN = fileURLToPath(new URL("../fuzz/stop_plugin.ts", import.meta.url));

Deno.test("hostile images are refused or planned, within time and memory, and leave nothing", async (test) => {
  await using room = await FuzzRoom.create();

  await test.step("2,000 of them, some of which are built and ended before they run", async () => {
    const found = await tryCases(room, { seed: 1, from: 0, to: 2_000, buildEvery: 30 });
    assert.deepEqual(found.defects, []);
    const planned = found.outcomes.get("planned") ?? 0;
    const refused = found.outcomes.get("bad-image") ?? 0;
    assert.ok(planned > 200 && refused > 200, JSON.stringify([...found.outcomes]));
    assert.ok(found.built > 5, `only ${found.built} were built`);
  });

  await test.step("some of them by the command line", async () => {
    const all = recorded(room.path).map(({ path }) => readImages(path));
    const known = new Set<number>([0, ...Object.values(EXIT_STATUS)]);
    known.delete(EXIT_STATUS.internal);
    for (let number = 0; number < 8; number++) {
      const random = randomOf(2, number);
      const index = random.below(all.length);
      const { changes, what } = mutate(random, all[index]!, all, `${room.path}/canary`);
      const directory = new HostileDirectory(`${room.path}/command-${number}`, all[index]!);
      directory.change(changes);
      for (const how of [["--dry-run"], ["--plugin", STOP_PLUGIN]]) {
        const { status, stderr } = await stasis(["restore", directory.path, ...how]);
        assert.ok(known.has(status), `${what.join("; ")}: status ${status}: ${stderr}`);
      }
    }
  });
});

/** Takes a subject away and has its images changed by hand, without a manifest. */
async function changed(
  name: string,
  change: (editor: Editor, subject: Subject) => void,
  check: (directory: string, subject: Subject) => Promise<void>,
): Promise<void> {
  using room = new ImageRoom();
  await using subject = await Subject.start(name);
  const directory = room.fresh();
  await checkpoint(subject.pid, { directory });
  await subject.waitGone();
  Deno.removeSync(`${directory}/manifest.img`);
  change(new Editor(directory), subject);
  await check(directory, subject);
}

/** Changes lists of an image directory. */
class Editor {
  constructor(readonly directory: string) {}

  list<Schema extends DescMessage>(
    kind: ListKind<Schema, null>,
    change: (entries: MessageShape<Schema>[]) => void,
  ): void {
    const images = ImageDirectory.open(this.directory);
    const entries = images.readList(kind, null);
    change(entries);
    const bytes = encodeImage(kind, { entries: entries.map((message) => ({ message })) });
    Deno.writeFileSync(images.pathOf(kind, null), bytes);
  }
}

async function isBad(directory: string, message: RegExp): Promise<void> {
  const error = await failureOf(restore(directory));
  assert.equal(error.code, "bad-image", error.message);
  assert.match(error.message, message);
  const { status } = await stasis(["restore", directory]);
  assert.equal(status, EXIT_STATUS["bad-image"]);
}

for (const field of ["pgid", "sid"] as const) {
  Deno.test(`a ${field} of 0xffffffff is refused`, () =>
    changed(
      "tree_sessions",
      (editor) => editor.list(PSTREE, ([root]) => void (root![field] = 0xffffffff)),
      (directory) => isBad(directory, /with the impossible id 4294967295$/),
    ));
}

Deno.test("a socket whose own id is not its entry's is refused", () =>
  changed(
    "unix_pairs",
    (editor) =>
      editor.list(FILES, (files) => {
        const socket = files.find(({ usk }) => usk !== undefined)!.usk!;
        socket.id += 1000;
      }),
    (directory) => isBad(directory, /of type UNIXSK, which has the id \d+ inside$/),
  ));

Deno.test("images that would have a table of the machine's own taken away are refused", async () => {
  using tables = new NfTables();
  const table = `stasis-${Deno.pid}`;
  tables.run([newTable(table, false)]);
  using undo = new DisposableStack();
  // It is there still.
  undo.defer(() => tables.run([deleteTable(table)]));
  await changed(
    "sig_masks",
    ({ directory }) => {
      const path = ImageDirectory.open(directory).pathOf(INET_LOCK, null);
      Deno.writeFileSync(
        path,
        encodeImage(INET_LOCK, { entries: [{ message: create(INET_LOCK.schema, { table }) }] }),
      );
    },
    (directory) => isBad(directory, /which no checkpoint has made$/),
  );
});

Deno.test("a deleted file whose name leads elsewhere is refused", () =>
  changed(
    "ghosts",
    (editor) =>
      editor.list(FILES, (files) => {
        for (const { reg } of files) {
          if (reg?.name.endsWith("/holes")) reg.name = `${editor.directory}/no/../pstree.img`;
        }
      }),
    async (directory) => {
      const before = readImages(directory);
      await isBad(directory, /had no full path$/);
      assert.deepEqual(readImages(directory), before);
    },
  ));

for (const relative of [false, true]) {
  const which = relative ? "relative to nothing" : "of another file";
  Deno.test(`a socket with a name ${which} is refused, and the file stays`, () =>
    changed(
      "unix_service",
      (editor) =>
        editor.list(FILES, (files) => {
          const path = relative ? "precious" : `${editor.directory}/pstree.img`;
          const name = new TextEncoder().encode(path);
          for (const { usk } of files) {
            if (usk === undefined || usk.name.length === 0 || usk.name[0] === 0) continue;
            Object.assign(usk, { name, deleted: false, nameDir: "" });
          }
        }),
      async (directory) => {
        const home = Deno.makeTempDirSync();
        const before = readImages(directory);
        const here = Deno.cwd();
        try {
          Deno.chdir(home);
          Deno.writeTextFileSync("precious", "data");
          const error = await failureOf(planRestore(directory));
          const text = error.problems.map(({ what }) => what).join("\n");
          assert.match(text, relative ? /do not say in which directory/ : /is another file now/);
          assert.equal(Deno.readTextFileSync("precious"), "data");
        } finally {
          Deno.chdir(here);
          Deno.removeSync(home, { recursive: true });
        }
        assert.deepEqual(readImages(directory), before);
      },
    ));
}

Deno.test("pages that would be written into a mapped file are refused, and the file stays", () =>
  changed(
    "mem_file_shared",
    (editor, { pid }) => {
      const images = ImageDirectory.open(editor.directory);
      const { vmas } = images.read(MM, pid);
      const shared = vmas.find(({ flags, status }) =>
        (flags & 1) !== 0 && (status & VMA_FILE_SHARED) !== 0
      );
      const { pagesId } = images.readPagemap(PAGEMAP, pid);
      const entries = [{ vaddr: shared!.start, nrPages: 1, flags: PE_PRESENT }];
      Deno.writeFileSync(
        images.pathOf(PAGEMAP, pid),
        encodePagemap(PAGEMAP, { pagesId, entries }),
      );
    },
    (directory) => isBad(directory, /where nothing private is$/),
  ));

Deno.test("clocks that no kernel would set are refused", () =>
  changed(
    "clocks",
    ({ directory }) => {
      const images = ImageDirectory.open(directory);
      const message = images.read(CLOCKS, null);
      message.boottime = 1n << 63n;
      const bytes = encodeImage(CLOCKS, { entries: [{ message }] });
      Deno.writeFileSync(images.pathOf(CLOCKS, null), bytes);
    },
    (directory) => isBad(directory, /clocks\.img has CLOCK_BOOTTIME at \d+ ns/),
  ));

Deno.test("inspect --verify tells what is damaged, and where", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("sud_allow");
  const directory = room.fresh();
  await checkpoint(subject.pid, { directory, leaveRunning: true });
  const whole = await stasis(["inspect", directory, "--verify"]);
  assert.equal(whole.status, 0, whole.stderr);
  assert.match(whole.stdout, /^checksums: every byte is as it was written/m);
  const path = `${directory}/pages-1.img`;
  const pages = Deno.readFileSync(path);
  pages[5000]! ^= 1;
  Deno.writeFileSync(path, pages);
  const damaged = await stasis(["inspect", directory, "--verify"]);
  assert.equal(damaged.status, EXIT_STATUS["bad-image"]);
  assert.match(damaged.stderr, /the image pages-1\.img in .* is damaged between bytes 0 and \d+/);
  // Nor is anything made of them then.
  const made = `${room.path}/core`;
  const core = ["--verify", "--core", `${subject.pid}`, "-o", made];
  assert.equal((await stasis(["inspect", directory, ...core])).status, EXIT_STATUS["bad-image"]);
  assert.throws(() => Deno.lstatSync(made), Deno.errors.NotFound);
  await subject.expectPass();
});
