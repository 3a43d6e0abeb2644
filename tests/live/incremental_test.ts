/** Checkpoints that leave to the one before what has not changed. */
import assert, { deepEqual, equal, ok } from "@std/assert";
import {
  checkpoint,
  type CheckpointSettings,
  directoriesOf,
  MemoryTracking,
  mergeParents,
  openImages,
  restore,
  type StasisError,
  survey,
} from "../../mod.ts";
import { hasWriteTracking } from "../../core/linux/userfaultfd.ts";
import { PARENT_PAGES } from "../../images/kinds/memory.ts";
import { stateSum } from "../../images/layers.ts";
import { processTree, waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";

/** A directory for checkpoints that goes with its scope. */
class Store implements Disposable {
  readonly path = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "stasis-images-" }));

  /** Where the checkpoint with a number is. */
  at(number: number): string {
    return `${this.path}/${number}`;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Has a subject change some of its pages. */
async function step(subject: Subject, number: number): Promise<void> {
  Deno.kill(subject.pid, "SIGUSR1");
  await waitUntil(
    () => subject.facts.get("step") === String(number),
    () => `step ${number} of ${subject.pid}: ${subject.output()}`,
  );
}

/** Changes the first byte of a file; and back. */
function flipFirst(path: string): void {
  const bytes = Deno.readFileSync(path);
  bytes[0] = (bytes[0] as number) ^ 1;
  Deno.writeFileSync(path, bytes);
}

Deno.test("a chain of checkpoints has each page once, and the last one brings all of them back", async () => {
  using store = new Store();
  await using subject = await Subject.start("pages_changing");
  const options = UNHURRIED;
  const sizes: number[] = [];
  for (let number = 0; number < 5; number++) {
    const isLast = number === 4;
    const { bytes, parent } = await checkpoint(subject.pid, {
      directory: store.at(number),
      parent: number === 0 ? undefined : store.at(number - 1),
      leaveRunning: !isLast,
      options,
    });
    sizes.push(Number(bytes));
    equal(parent, number === 0 ? undefined : store.at(number - 1));
    if (!isLast) await step(subject, number + 1);
  }
  const [first = 0, second = 0, , , last = 0] = sizes;
  ok(second < first / 5 && last < first / 4, `${sizes}`);
  deepEqual(directoriesOf(store.at(4)), [4, 3, 2, 1, 0].map((number) => store.at(number)));
  // What parent and child have in common since they parted is written for both, and leads further.
  ok(openImages(store.at(2)).ids(PARENT_PAGES).length > 0);
  await subject.waitGone();
  const verified = await stasis(["inspect", "--verify", "--json", store.at(4)]);
  equal(verified.status, 0, verified.stderr);
  deepEqual(JSON.parse(verified.stdout).parents, [3, 2, 1, 0].map((number) => store.at(number)));
  // Damage is not taken over.
  const damaged = `${store.at(1)}/pages-1.img`;
  flipFirst(damaged);
  await assert.rejects(mergeParents(store.at(3)), { code: "bad-image" });
  equal(directoriesOf(store.at(4)).length, 5);
  flipFirst(damaged);
  // Those in between become whole, and those before them can go.
  equal(await mergeParents(store.at(3)), true);
  equal(await mergeParents(store.at(3)), false);
  ok(openImages(store.at(3)).ids(PARENT_PAGES).length > 0, "what was in common is");
  for (let number = 0; number < 3; number++) {
    Deno.removeSync(store.at(number), { recursive: true });
  }
  deepEqual(directoriesOf(store.at(4)), [store.at(4), store.at(3)]);
  equal((await stasis(["inspect", "--verify", store.at(4)])).status, 0);
  const tree = await restore(store.at(4));
  await subject.expectPass();
  await tree.wait();
});

/** The calls at which whoever merges is killed: before one is exchanged for the other, then, and when the old one goes. */
const KILLS = ["syncfs:when=1", "renameat2:when=1", "unlinkat:when=1", "unlinkat:when=4"];

Deno.test("a chain is whole wherever the tool is killed that merges it", async () => {
  using store = new Store();
  await using subject = await Subject.start("pages_changing", { args: ["64", "8", "alone"] });
  const chain = `${store.path}/chain`;
  Deno.mkdirSync(chain);
  for (let number = 0; number < 4; number++) {
    if (number > 0) await step(subject, number);
    await checkpoint(subject.pid, {
      directory: `${chain}/${number}`,
      parent: number === 0 ? undefined : `${chain}/${number - 1}`,
      leaveRunning: number < 3,
      options: UNHURRIED,
    });
  }
  await subject.waitGone();
  const script = `${store.path}/merge.ts`;
  const library = new URL("../../mod.ts", import.meta.url);
  Deno.writeTextFileSync(
    script,
    `import { mergeParents } from "${library}";\nawait mergeParents(Deno.args[0]);`,
  );
  const config = new URL("../../deno.json", import.meta.url).pathname;
  for (const kill of KILLS) {
    const copy = `${store.path}/${kill}`;
    await new Deno.Command("cp", { args: ["-a", chain, copy] }).output();
    const { signal } = await new Deno.Command("strace", {
      args: [
        ...["-f", "-qq", "-o", "/dev/null", "-e", `inject=${kill.replace(":", ":signal=KILL:")}`],
        ...[Deno.execPath(), "run", "-A", "--no-check", "--config", config, script, `${copy}/2`],
      ],
      stderr: "null",
    }).output();
    equal(signal, "SIGKILL", kill);
    const { status, stderr } = await stasis(["inspect", "--verify", `${copy}/3`]);
    equal(status, 0, `${kill}: ${stderr}`);
    const isMerged = kill.startsWith("unlinkat");
    equal(directoriesOf(`${copy}/3`).length, isMerged ? 2 : 4, kill);
  }
  // What was left beside it is nobody's, and what is there is enough.
  const last = `${store.path}/${KILLS.at(-1)}`;
  for (const number of [0, 1]) Deno.removeSync(`${last}/${number}`, { recursive: true });
  const tree = await restore(`${last}/3`);
  await subject.expectPass();
  await tree.wait();
});

Deno.test("checkpoint() refuses the checkpoint of another tree as parent, and touches nothing", async () => {
  using store = new Store();
  await using one = await Subject.start("mem_brk");
  await using other = await Subject.start("mem_brk");
  await checkpoint(one.pid, { directory: store.at(0), leaveRunning: true, options: UNHURRIED });
  await assert.rejects(
    checkpoint(other.pid, { directory: store.at(1), parent: store.at(0) }),
    (error: StasisError) => {
      equal(error.code, "usage");
      assert.match(error.message, new RegExp(`of process ${one.pid}, not of ${other.pid}$`));
      return true;
    },
  );
  deepEqual([...Deno.readDirSync(store.path)].map(({ name }) => name), ["0"]);
  await other.expectPass();
});

Deno.test("a checkpoint is whole again where its chain would be too long", async () => {
  using store = new Store();
  await using subject = await Subject.start("mem_brk");
  const notes: string[] = [];
  for (let number = 0; number < 3; number++) {
    const { parent } = await checkpoint(subject.pid, {
      directory: store.at(number),
      parent: number === 0 ? undefined : store.at(number - 1),
      longestChain: 2,
      leaveRunning: true,
      onEvent: (event) => void (event.kind === "note" && notes.push(event.text)),
      options: UNHURRIED,
    });
    equal(parent, number === 1 ? store.at(0) : undefined);
  }
  equal(notes.filter((text) => /needs 1 parents? already/.test(text)).length, 1, `${notes}`);
  await subject.expectPass();
});

Deno.test("with `compare` nothing is tracked, and what has changed is found all the same", async () => {
  using store = new Store();
  await using subject = await Subject.start("pages_changing", { args: ["4096", "8", "alone"] });
  using tracking = new MemoryTracking();
  const sizes: bigint[] = [];
  for (let number = 0; number < 3; number++) {
    const { bytes } = await checkpoint(subject.pid, {
      directory: store.at(number),
      parent: number === 0 ? undefined : store.at(number - 1),
      tracking,
      leaveRunning: number < 2,
      options: { ...UNHURRIED, compare: true },
    });
    sizes.push(bytes);
    if (number === 2) break;
    equal(/ uw\b/.test(Deno.readTextFileSync(`/proc/${subject.pid}/smaps`)), false);
    await step(subject, number + 1);
  }
  const [first = 0n, ...others] = sizes;
  ok(others.every((size) => size < first / 4n), `${sizes}`);
  await subject.waitGone();
  const tree = await restore(store.at(2));
  await subject.expectPass();
  await tree.wait();
});

Deno.test("what was written to with what it held before is left out, though the kernel tells that it was written to", async (t) => {
  if (!hasWriteTracking()) return skip(t, "this kernel has no asynchronous write protection");
  using store = new Store();
  const [pages, written] = [4096, 1024];
  const args = [String(pages), String(written), "alone"];
  await using subject = await Subject.start("pages_changing", { args });
  using tracking = new MemoryTracking();
  const details: string[] = [];
  const save = async (number: number) =>
    await checkpoint(subject.pid, {
      directory: store.at(number),
      parent: number === 0 ? undefined : store.at(number - 1),
      tracking,
      leaveRunning: true,
      options: UNHURRIED,
      onEvent: (event) => void (event.kind === "detail" && details.push(event.text)),
    });
  await save(0);
  await step(subject, 1);
  const { bytes } = await save(1);
  deepEqual(details.filter((text) => /by comparing/.test(text)), []);
  // Of those that the step changes, and others, some are written to twice: at most so many have changed. As many again,
  // but for a quarter of chance, were written to and hold what they did.
  const changed = BigInt(written + 100) * 4096n;
  ok(bytes < changed, `${bytes} bytes, and ${changed} have changed at most`);
  await subject.expectPass();
});

Deno.test("with MemoryTracking only what was written to is looked at, and nothing of it stays", async (t) => {
  if (!hasWriteTracking()) return skip(t, "this kernel has no asynchronous write protection");
  using store = new Store();
  await using subject = await Subject.start("pages_changing", { args: ["4096"] });
  const registered = () =>
    processTree(subject.pid).some((pid) =>
      / uw\b/.test(Deno.readTextFileSync(`/proc/${pid}/smaps`))
    );
  const controller = new AbortController();
  {
    using tracking = new MemoryTracking();
    let steps = 0;
    for (let number = 0; number < 5; number++) {
      const settings: CheckpointSettings = {
        directory: store.at(number),
        parent: number === 0 ? undefined : store.at(number - 1),
        tracking,
        leaveRunning: true,
        // With shadows, and without.
        options: { ...UNHURRIED, snapshot: number % 2 === 1, copyLimit: 0n },
      };
      if (number === 3) {
        // What was written to before one that fails is not forgotten.
        await assert.rejects(
          checkpoint(subject.pid, {
            ...settings,
            signal: controller.signal,
            onEvent: (event) => {
              if (event.kind === "phase" && event.phase === "commit") controller.abort();
            },
          }),
          { code: "cancelled" },
        );
        await step(subject, ++steps);
      }
      await checkpoint(subject.pid, settings);
      ok(registered());
      // To others it is a tree like any other.
      const [verdict] = await survey([subject.pid]);
      deepEqual(verdict?.problems, []);
      const known = tracking.unwritten(subject.pid, stateSum(openImages(store.at(number))) ?? 0);
      const size = known.reduce((sum, { start, end }) => sum + end - start, 0n);
      ok(size >= 16n << 20n, `${size} bytes are tracked`);
      if (number < 4) await step(subject, ++steps);
    }
  }
  equal(registered(), false);
  for (const pid of processTree(subject.pid)) Deno.kill(pid, "SIGKILL");
  await subject.waitGone();
  const tree = await restore(store.at(4));
  await subject.expectPass();
  await tree.wait();
});
