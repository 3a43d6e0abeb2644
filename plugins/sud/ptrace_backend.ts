/**
 * Mainline from Linux 6.4: PTRACE_GET_ and PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG.
 *
 * Suspending means turning it off, so a tool that dies in between would leave a target without its
 * dispatch: its foreign calls would reach the kernel. So before it is turned off it is noted how it was, and the thread
 * waits meanwhile; whoever lets it go turns it on again first.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { ptraceData } from "../../core/linux/libc_ffi.ts";
import { PTRACE } from "../../core/linux/ptrace.ts";
import { ptraceOfEach } from "../../core/linux/ptrace_many.ts";
import { onceNeeded, Own, Sweep } from "../../core/linux/sweep.ts";
import type { StoppedThread } from "../../core/plugin.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { ptraceCall } from "../../core/remote/undo.ts";
import type { SudBackend } from "./backend.ts";
import { decodeConfig, SUD_MODE, type SudConfig, sudConfig } from "./config.ts";

/** Reads a stopped tracee's configuration. @throws {StasisError} */
export function getConfig(tid: number): SudConfig {
  const bytes = new Uint8Array(sudConfig.size);
  const request = PTRACE.GET_SYSCALL_USER_DISPATCH_CONFIG;
  must(ptraceData(request, BigInt(tid), BigInt(bytes.length), bytes), describe("GET"), tid);
  return decodeConfig(sudConfig.read(bytes));
}

/** Sets a stopped tracee's configuration. @throws {StasisError} */
export function setConfig(tid: number, config: SudConfig): void {
  const bytes = sudConfig.make(config);
  const request = PTRACE.SET_SYSCALL_USER_DISPATCH_CONFIG;
  must(ptraceData(request, BigInt(tid), BigInt(bytes.length), bytes), describe("SET"), tid);
}

function describe(verb: string): string {
  return `ptrace(PTRACE_${verb}_SYSCALL_USER_DISPATCH_CONFIG)`;
}

function must(result: bigint, call: string, tid: number): void {
  if (!isErrno(result)) return;
  const errno = errnoName(-result);
  throw new StasisError(
    errno === "ESRCH" ? "no-such-task" : "syscall",
    `${call} of thread ${tid} failed: ${errno}`,
    { pid: tid, errno },
  );
}

const OFF: SudConfig = { mode: SUD_MODE.OFF, selector: 0n, offset: 0n, len: 0n };

const looking = onceNeeded(() => {
  const request = PTRACE.GET_SYSCALL_USER_DISPATCH_CONFIG;
  return new Sweep([ptraceOfEach(request, sudConfig.size, new Own(0))], sudConfig.size);
});

function switchOff(tracee: Tracee, config: SudConfig): void {
  tracee.endWithTool();
  const bytes = sudConfig.make(config);
  const request = PTRACE.SET_SYSCALL_USER_DISPATCH_CONFIG;
  tracee.noteUndo(ptraceCall(request, tracee.tid, BigInt(bytes.length), bytes));
  setConfig(tracee.tid, OFF);
}

/** The back end. */
export const ptraceBackend: SudBackend = {
  name: "ptrace",
  description: "the ptrace requests of Linux 6.4",
  usable: true,
  suspend(threads, had) {
    looking().run(threads.map(({ tid }) => tid), {
      look(tid, { result, words }, index) {
        // The first word is the mode.
        if (result(0) === 0 && words[0] === SUD_MODE.OFF) return;
        const config = getConfig(tid);
        if (config.mode === SUD_MODE.OFF) return;
        const thread = threads[index] as StoppedThread;
        switchOff(thread.tracee, config);
        had(thread, config);
      },
    });
  },
  arm: setConfig,
};
