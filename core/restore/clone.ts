/**
 * clone3(2) inside a task, and the actions of a tree's birth as system calls.
 *
 * @module
 */
import { SIG } from "../linux/signals.ts";
import { defineStruct } from "../linux/struct.ts";
import type { CallResult, SyscallProgram } from "../remote/program.ts";
import type { BirthAction } from "./births.ts";
import type { SharedAtBirth } from "./shared_at_birth.ts";

/** Flags of clone3(2) (`include/uapi/linux/sched.h`). */
export const CLONE = {
  VM: 0x100n,
  FS: 0x200n,
  FILES: 0x400n,
  SIGHAND: 0x800n,
  /** The new task is traced by the tracer of the one that makes it, and stops before its first instruction. */
  PTRACE: 0x2000n,
  PARENT: 0x8000n,
  THREAD: 0x10000n,
  SYSVSEM: 0x40000n,
} as const;

/** `struct clone_args` up to the version of Linux 5.5, which has set_tid. */
const cloneArguments = defineStruct("clone_args", 80, {
  flags: [0, "u64"],
  pidfd: [8, "u64"],
  childTid: [16, "u64"],
  parentTid: [24, "u64"],
  exitSignal: [32, "u64"],
  stack: [40, "u64"],
  stackSize: [48, "u64"],
  tls: [56, "u64"],
  setTid: [64, "u64"],
  setTidSize: [72, "u64"],
});
/** The same with the id that {@link SET_TID} points to. */
const withId = defineStruct("clone_args", 88, {
  flags: [0, "u64"],
  exitSignal: [32, "u64"],
  setTidSize: [72, "u64"],
  id: [80, "i32"],
});
/** Where the address of the id stands, and where the id does. */
const SET_TID = 64, ID = cloneArguments.size;

/**
 * Adds a clone3 call that makes a task, traced and stopped.
 *
 * @param id the pid or tid that it must have; undefined for any
 * @param flags bits of {@link CLONE}; PTRACE is added
 * @param signal tells the parent of its end; 0 for none
 * @param room takes the arguments, where memory is there for them already
 */
export function addClone(
  program: SyscallProgram,
  id: number | undefined,
  flags: bigint,
  signal: number = SIG.CHLD,
  room: Uint8Array = new Uint8Array(withId.size),
): CallResult {
  // The exit signal of a thread, and of a sibling, is not its maker's to choose.
  const exitSignal = (flags & (CLONE.THREAD | CLONE.PARENT)) === 0n ? BigInt(signal) : 0n;
  const all = flags | CLONE.PTRACE;
  const unusual = signal === SIG.CHLD ? "" : `, exit_signal=${signal}`;
  const note = `flags=0x${all.toString(16)}${unusual}`;
  if (id === undefined) {
    const args = program.data(cloneArguments.make({ flags: all, exitSignal }), note);
    return program.call("clone3", args, cloneArguments.size);
  }
  withId.write(room, { flags: all, exitSignal, setTidSize: 1n, id });
  const args = program.data(room, `set_tid=${id}, ${note}`);
  return program.call("clone3", args.point(SET_TID, args, ID), cloneArguments.size);
}

/** Adds clone3 calls that make threads with certain ids, traced and stopped. */
export function addThreads(program: SyscallProgram, tids: readonly number[]): void {
  const flags = CLONE.VM | CLONE.FS | CLONE.FILES | CLONE.SIGHAND | CLONE.THREAD | CLONE.SYSVSEM;
  const room = new Uint8Array(tids.length * withId.size);
  tids.forEach((tid, index) => {
    const at = index * withId.size;
    addClone(program, tid, flags, SIG.CHLD, room.subarray(at, at + withId.size));
  });
}

/**
 * Adds the calls of one action of a birth.
 *
 * @param shared what a new child shares with the task that makes it
 */
export function addBirth(
  program: SyscallProgram,
  action: BirthAction,
  shared: (child: number) => SharedAtBirth,
): void {
  switch (action.kind) {
    case "clone": {
      const { files, fs, memory, handlers } = shared(action.pid);
      const flags = (files ? CLONE.FILES : 0n) | (fs ? CLONE.FS : 0n) |
        (memory ? CLONE.VM : 0n) | (handlers ? CLONE.SIGHAND : 0n);
      const { pid, sibling, exitSignal } = action;
      addClone(program, pid, sibling ? flags | CLONE.PARENT : flags, exitSignal);
      return;
    }
    case "setsid":
      program.call("setsid");
      return;
    case "setpgid":
      program.call("setpgid", 0, action.pgid);
      return;
    case "follow":
      program.call("setpgid", 0, program.call("getpgid", action.pid));
  }
}
