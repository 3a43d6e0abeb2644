/**
 * A plugin that compares the seccomp of every thread of a real program at a restore with what it was at the
 * checkpoint. Both are read while the tree stands still: threads and filters of such programs come and go.
 *
 * @module
 */
import assert from "@std/assert";
import { definePlugin, type Plugin } from "../../mod.ts";

/** Compares the filters of one program. */
export class FilterWitness {
  readonly #before = new Map<number, string>();
  #restored = 0;

  /** For both the checkpoints and the restores; a restore in which a thread's filters differ fails. */
  readonly plugin: Plugin = definePlugin({
    name: "filter-witness",
    description: "compares seccomp before and after",
    checkpoint: () => ({
      dumpTree: ({ tasks }) => {
        this.#before.clear();
        for (const { pid, threads } of tasks) {
          for (const { tid } of threads) this.#before.set(tid, linesOf(pid, tid));
        }
      },
    }),
    restore: () => ({
      armThread: ({ pid, tid }) => {
        const now = linesOf(pid, tid);
        assert.equal(now, this.#before.get(tid), `the seccomp of thread ${tid}`);
        if (/^Seccomp:\t[12]/.test(now)) this.#restored++;
      },
    }),
  });

  /** How many threads under seccomp have been restored so far. */
  get restored(): number {
    return this.#restored;
  }

  /** How many threads were under seccomp at the last checkpoint. */
  get saved(): number {
    return [...this.#before.values()].filter((lines) => /^Seccomp:\t[12]/.test(lines)).length;
  }
}

/** `Seccomp:` and `Seccomp_filters:` of a thread. */
function linesOf(pid: number, tid: number): string {
  const status = Deno.readTextFileSync(`/proc/${pid}/task/${tid}/status`);
  return [...status.matchAll(/^Seccomp.*$/gm)].join(" ");
}
