import assert from "@std/assert";
import type { Stage } from "../../core/plugin.ts";
import { formatCall } from "../../core/remote/format_call.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { type Chain, FILTER_FLAG, FilterPool, type ThreadSeccomp } from "./chain.ts";
import { planThreads } from "./plan.ts";

const pool = new FilterPool();
const filter = (count: number, flags = 0) => pool.intern(new Uint8Array(count * 8), flags);
const [one, two, three] = [filter(1), filter(2), filter(3, FILTER_FLAG.LOG)];
const has = (...chain: Chain): ThreadSeccomp => ({ mode: "filter", chain });

/** What is planned: `thread stage flags/instructions`. */
function plan(...states: ThreadSeccomp[]): string[] {
  const lines: string[] = [];
  const threads = states.map((state) => {
    const programs = new Map<Stage, SyscallProgram>();
    const program = (stage: Stage) => {
      const known = programs.get(stage) ?? new SyscallProgram(stage);
      programs.set(stage, known);
      return known;
    };
    return { state, program, programs };
  });
  planThreads(threads);
  threads.forEach(({ programs }, index) => {
    for (const [stage, { calls }] of programs) {
      for (const call of calls) {
        const count = /of (\d+) instr/.exec(formatCall(call))?.[1];
        lines.push(`${index} ${stage} ${call.name} ${call.args[1]}/${count}`);
      }
    }
  });
  return lines;
}

Deno.test("planThreads() synchronises what all threads begin with, and leaves the rest to each", () => {
  assert.deepEqual(plan(has(one, two), has(one), has(one, three)), [
    "0 seccomp_all seccomp 1/1",
    "0 seccomp seccomp 0/2",
    "2 seccomp seccomp 2/3",
  ]);
});

Deno.test("planThreads() has each thread install its own where one has none", () => {
  assert.deepEqual(plan({ mode: "off" }, has(one), has(one)), [
    "1 seccomp seccomp 0/1",
    "2 seccomp seccomp 0/1",
  ]);
});

Deno.test("planThreads() sets strict mode, and synchronises nothing with such a thread", () => {
  assert.deepEqual(plan(has(one), { mode: "strict" }), [
    "0 seccomp seccomp 0/1",
    "1 seccomp prctl 1/undefined",
  ]);
});

Deno.test("planThreads() does not synchronise a single thread", () => {
  assert.deepEqual(plan(has(one, two)), ["0 seccomp seccomp 0/1", "0 seccomp seccomp 0/2"]);
});
