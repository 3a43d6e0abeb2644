import { deepEqual, ok } from "@std/assert";
import { IMAGES_VERSION } from "../../images/kinds/core.ts";
import { PAGEMAP, PAGES } from "../../images/kinds/memory.ts";
import { stateSum } from "../../images/layers.ts";
import { ImageDirectory, ImageWriter, PE_PARENT, PE_PRESENT } from "../../images/mod.ts";
import { Remembered } from "../../images/remembered.ts";
import { parentTaskRuns, taskRuns } from "./task_runs.ts";

const PAGE = 4096, PID = 7;

/** A chain of checkpoints, which goes with its scope. */
class Chain implements Disposable {
  readonly path = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "stasis-runs-" }));

  at(number: number): string {
    return `${this.path}/${number}`;
  }

  /** Writes a checkpoint of eight pages, of which it has one itself, and the first one has all. */
  async write(number: number): Promise<void> {
    await using writer = ImageWriter.create(this.at(number));
    const own = { vaddr: BigInt(number * PAGE), nrPages: 1, flags: PE_PRESENT };
    const entries = number === 0 ? [{ ...own, nrPages: 8 }] : [
      { vaddr: 0n, nrPages: number, flags: PE_PARENT },
      own,
      { vaddr: BigInt((number + 1) * PAGE), nrPages: 7 - number, flags: PE_PARENT },
    ];
    writer.writePagemap(PAGEMAP, PID, { pagesId: 1, entries });
    Deno.writeFileSync(writer.createRaw(PAGES, 1), new Uint8Array(8 * PAGE));
    if (number > 0) {
      const parent = ImageDirectory.open(this.at(number - 1));
      writer.linkParent(parent.path, stateSum(parent) as number);
    }
    await writer.commit({ imgVersion: IMAGES_VERSION, dumpUptime: BigInt(number) });
  }

  /** Where a checkpoint has its pages, with the number of the checkpoint that holds each. */
  holders(number: number, remembered?: Remembered): string[] {
    const images = ImageDirectory.open(this.at(number), { remembered });
    return taskRuns(images, PID).flatMap(({ pages, size }) =>
      Array<string>(Number(size) / PAGE).fill(pages.slice(this.path.length + 1).split("/")[0] ?? "")
    );
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

Deno.test("taskRuns() reads of a chain only what is new, where the rest is remembered and has not changed", async () => {
  using chain = new Chain();
  for (let number = 0; number < 4; number++) await chain.write(number);
  const wanted = ["0", "1", "2", "3", "0", "0", "0", "0"];
  deepEqual(chain.holders(3), wanted);
  const remembered = new Remembered();
  parentTaskRuns(ImageDirectory.open(chain.at(2), { remembered }), PID);
  deepEqual(chain.holders(3, remembered), wanted);
  // It is that which is used: here it says that all pages are elsewhere.
  const name = `runs of pagemap-${PID}.img`;
  const known = remembered.get(name) as { states: string[] };
  ok(known.states.length === 3, `${known.states}`);
  const elsewhere = [{
    start: 0n,
    size: BigInt(8 * PAGE),
    pages: `${chain.path}/elsewhere/1`,
    offset: 0n,
  }];
  remembered.set(name, { ...known, runs: elsewhere });
  const used = wanted.map((_, page) => page === 3 ? "3" : "elsewhere");
  deepEqual(chain.holders(3, remembered), used);
  // It is kept when the next checkpoint begins.
  remembered.turn();
  deepEqual(chain.holders(3, remembered), used);
  // Another pagemap in the place of one of them.
  const pagemap = `${chain.at(1)}/pagemap-${PID}.img`;
  Deno.copyFileSync(pagemap, `${pagemap}.new`);
  Deno.renameSync(`${pagemap}.new`, pagemap);
  deepEqual(chain.holders(3, remembered), wanted);
});
