// SPDX-License-Identifier: MIT
/**
 * Runs in the VM, whose kernel has soft-dirty bits and no asynchronous write protection: what a chain of checkpoints
 * leaves out by them, and when it does not believe them.
 *
 * @module
 */

import { deepStrictEqual, match, ok, strictEqual } from "@std/assert";
import { hasSoftDirty } from "../../core/checkpoint/soft_dirty.ts";
import { hasWriteTracking } from "../../core/linux/userfaultfd.ts";
import { stateSum } from "../../images/layers.ts";
import {
  checkpoint,
  type CheckpointSettings,
  MemoryTracking,
  openImages,
  restore,
} from "../../mod.ts";
import { waitUntil } from "../../tests/harness/processes.ts";
import { Subject } from "../../tests/harness/subject.ts";
import { UNHURRIED } from "../../tests/harness/unhurried.ts";

/** Checkpoints of a subject, one after the other. */
class Chain implements Disposable {
  readonly #home = Deno.makeTempDirSync({ prefix: "stasis-soft-dirty-" });
  readonly #subject: Subject;
  #count = 0;

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  /** Where the last one is. */
  get last(): string {
    return `${this.#home}/${this.#count - 1}`;
  }

  /** Makes the next one. @returns what it says in detail, and how many bytes it has */
  async save(tracking: MemoryTracking, settings: Partial<CheckpointSettings> = {}) {
    const details: string[] = [];
    const { bytes } = await checkpoint(this.#subject.pid, {
      directory: `${this.#home}/${this.#count}`,
      parent: this.#count === 0 ? undefined : this.last,
      tracking,
      leaveRunning: true,
      options: UNHURRIED,
      onEvent: (event) => void (event.kind === "detail" && details.push(event.text)),
      ...settings,
    });
    this.#count++;
    return { bytes: Number(bytes), told: details.filter((text) => /by comparing/.test(text)) };
  }

  /** Has the subject change some of its pages. */
  async change(): Promise<void> {
    const step = Number(this.#subject.facts.get("step") ?? 0) + 1;
    Deno.kill(this.#subject.pid, "SIGUSR1");
    await waitUntil(
      () => this.#subject.facts.get("step") === `${step}`,
      () => `step ${step}: ${this.#subject.output()}`,
    );
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#home, { recursive: true });
  }
}

/** How much a tracking would leave out of the next checkpoint. */
function known(tracking: MemoryTracking, pid: number, directory: string): bigint {
  return tracking.unwritten(pid, stateSum(openImages(directory)) ?? 0)
    .reduce((sum, { start, end }) => sum + end - start, 0n);
}

Deno.test("this kernel has soft-dirty bits and nothing better", () => {
  ok(hasSoftDirty());
  ok(!hasWriteTracking());
});

for (const shadows of [true, false]) {
  const how = shadows ? "snapshots" : "full freezes";
  Deno.test(`a chain of ${how} has what has changed, and is restored right`, async () => {
    await using subject = await Subject.start("pages_changing", { args: ["4096"] });
    using chain = new Chain(subject);
    {
      using tracking = new MemoryTracking();
      const sizes: number[] = [];
      for (let number = 0; number < 5; number++) {
        const options = { ...UNHURRIED, snapshot: shadows, copyLimit: 0n };
        const { bytes, told } = await chain.save(tracking, { options });
        deepStrictEqual(told, []);
        sizes.push(bytes);
        ok(known(tracking, subject.pid, chain.last) >= 16n << 20n);
        await chain.change();
      }
      // The third has the memory of a child that was born meanwhile.
      const [first, ...others] = sizes as [number, number, number, number, number];
      ok(others.filter((size) => size < first / 4).length === 3, `${sizes}`);
      await chain.save(tracking, { leaveRunning: false });
    }
    await subject.waitGone();
    const tree = await restore(chain.last);
    await subject.expectPass();
    await tree.wait();
  });
}

Deno.test("where somebody else clears the bits nothing is believed, and all is right", async () => {
  await using subject = await Subject.start("pages_changing", { args: ["4096", "8", "alone"] });
  using chain = new Chain(subject);
  {
    using tracking = new MemoryTracking();
    await chain.save(tracking);
    await chain.change();
    // As CRIU does for its own sake.
    Deno.writeTextFileSync(`/proc/${subject.pid}/clear_refs`, "4");
    await chain.change();
    const { told } = await chain.save(tracking);
    strictEqual(told.length, 1);
    match(told[0]!, /somebody has cleared the soft-dirty bits/);
    await chain.change();
    deepStrictEqual((await chain.save(tracking)).told, [], "it is believed again");
    // Another one that tracks the same task compares, and disturbs nobody.
    using other = new MemoryTracking();
    using second = new Chain(subject);
    const { told: others } = await second.save(other);
    match(others.join(), /another Stasis uses the soft-dirty bits/);
    await chain.change();
    deepStrictEqual((await chain.save(tracking)).told, []);
    await chain.change();
    await chain.save(tracking, { leaveRunning: false });
  }
  await subject.waitGone();
  const tree = await restore(chain.last);
  await subject.expectPass();
  await tree.wait();
});
