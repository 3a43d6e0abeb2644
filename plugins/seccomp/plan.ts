/**
 * The calls that give the threads of a task their seccomp. Pure. Which of them share filters afterwards
 * is told in `mod.ts`.
 *
 * @module
 */
import { defineStruct } from "../../core/linux/struct.ts";
import type { Stage } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { INSTRUCTION_SIZE } from "./bpf.ts";
import { commonStart, type Filter, FILTER_FLAG, type ThreadSeccomp } from "./chain.ts";

/** seccomp(2) (`include/uapi/linux/seccomp.h`). */
const SECCOMP_SET_MODE_FILTER = 1;
/** prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT). */
const PR_SET_SECCOMP = 22, SECCOMP_MODE_STRICT = 1;

/** `struct sock_fprog` (`include/uapi/linux/filter.h`). */
const sockFprog = defineStruct("sock_fprog", 16, { len: [0, "u16"], filter: [8, "u64"] });
const FPROG_FILTER = 8;

/** A thread to be planned. */
export interface PlannedSeccomp {
  readonly state: ThreadSeccomp;
  /** Its program for a stage. */
  program(stage: Stage): SyscallProgram;
}

/** Adds the calls. @param threads all of a task, the leader first */
export function planThreads(threads: readonly PlannedSeccomp[]): void {
  const chains = threads.map(({ state }) => state.mode === "filter" ? state.chain : []);
  // A single thread has nobody to synchronise with.
  const common = threads.length > 1 ? commonStart(chains) : [];
  for (const filter of common) {
    const leader = threads[0] as PlannedSeccomp;
    install(leader.program("seccomp_all"), filter, FILTER_FLAG.TSYNC);
  }
  threads.forEach(({ state, program }, index) => {
    if (state.mode === "strict") {
      program("seccomp").call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
    }
    const own = chains[index]?.slice(common.length) ?? [];
    for (const filter of own) install(program("seccomp"), filter, 0);
  });
}

function install(program: SyscallProgram, { bytes, flags }: Filter, extra: number): void {
  const count = bytes.length / INSTRUCTION_SIZE;
  const instructions = program.data(bytes, `${count} instructions`);
  const fprog = program.data(sockFprog.make({ len: count }), `a filter of ${count} instructions`)
    .point(FPROG_FILTER, instructions);
  // With TSYNC the result is the thread that cannot be synchronised.
  program.expect(0n, "seccomp", SECCOMP_SET_MODE_FILTER, flags | extra, fprog);
}
