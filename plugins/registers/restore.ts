/**
 * How registers are planned and armed at a restore (`mod.ts` says what and how).
 *
 * @module
 */
import { user_x86_regs_mode } from "../../images/gen/registers_x86_pb.ts";
import type { wait_entry } from "../../images/gen/time_pb.ts";
import type { ImageDirectory } from "../../images/directory.ts";
import { MM } from "../../images/kinds/memory.ts";
import { WAITS } from "../../images/kinds/time.ts";
import { uniqueById } from "../../images/unique.ts";
import { StasisError } from "../../base/errors.ts";
import { remoteAddress } from "../../core/linux/address.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { addressOf, ptraceData, syscall } from "../../core/linux/libc_ffi.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import { getRegisterSet, NT, setRegisterSet } from "../../core/linux/ptrace.ts";
import type { Registers } from "../../core/linux/x86_64/registers.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { ArmContext, RestoreHooks, RestoreSession, ThreadPlanner } from "../../core/plugin.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { decodeRegisters } from "./general.ts";
import { XSTATE_LIMIT } from "./extended.ts";
import { xstateLayout } from "./layout.ts";
import { liveRegisters } from "./restart.ts";
import { afterWait, relativeWait, toTimespec, waitCall } from "./waits.ts";
import { isWritableArea, RSEQ_CS_OFFSET } from "./rseq.ts";
import { decodeUserDesc, isEmptyTls } from "./tls.ts";
import { decodeXstate, xstateProblem } from "./xstate.ts";

const PTRACE_SET_THREAD_AREA = 26n;

/** The hooks of a restore. */
export function restoreRegisters({ images }: RestoreSession): RestoreHooks {
  let waits: ReadonlyMap<number, wait_entry> = new Map();
  return {
    load() {
      if (!images.has(WAITS, null)) return;
      const path = images.pathOf(WAITS, null);
      waits = uniqueById(images.readList(WAITS, null), ({ tid }) => tid, path, "thread");
    },
    planThread: (thread) => planThread(thread, images),
    armThread: (thread) => armThread(thread, waits.get(thread.tid)),
  };
}

/** Says why this thread's registers cannot be set here. */
function refuse(thread: ThreadPlanner, what: string, hint: string): StasisError {
  const { pid } = thread.task;
  return new StasisError("unsupported", `thread ${thread.tid} of task ${pid}: ${what}`, {
    pid,
    hint,
  });
}

function validate(thread: ThreadPlanner): void {
  const { gpregs, fpregs } = thread.core.threadInfo ?? {};
  if (gpregs === undefined) {
    throw new StasisError("bad-image", `the image of thread ${thread.tid} has no registers`);
  }
  const segments = gpregs.mode === user_x86_regs_mode.COMPAT
    ? "runs 32-bit code"
    : decodeRegisters(gpregs).segmentProblem;
  if (segments !== undefined) {
    throw refuse(thread, `it ${segments}`, "only 64-bit programs can be restored");
  }
  const reason = fpregs === undefined ? undefined : xstateProblem(fpregs, xstateLayout());
  if (reason !== undefined) {
    const hint = "restore on a machine with the processor features of the first one";
    throw refuse(thread, reason, hint);
  }
}

/** Refuses an area of rseq(2) that would end the thread as soon as it is registered. */
function checkRseq({ tid, task }: ThreadPlanner, area: bigint, images: ImageDirectory): void {
  const owner = task.memoryOwner;
  if (!images.has(MM, owner) || isWritableArea(area, images.read(MM, owner).vmas)) return;
  throw new StasisError(
    "bad-image",
    `the area of rseq(2) of thread ${tid} is at 0x${
      area.toString(16)
    }, where task ${task.pid} has no memory to write`,
    { hint: "the images were changed or written by something else: make the checkpoint again" },
  );
}

function planThread(thread: ThreadPlanner, images: ImageDirectory): void {
  validate(thread);
  const { core } = thread;
  const program = thread.program("thread");
  const clearTid = core.threadInfo?.clearTidAddr ?? 0n;
  if (clearTid !== 0n) program.call("set_tid_address", clearTid);
  const { futexRla, futexRlaLen, rseqEntry } = core.threadCore ??
    { futexRla: 0n, futexRlaLen: 0, rseqEntry: undefined };
  if (futexRla !== 0n) program.call("set_robust_list", futexRla, futexRlaLen);
  if (rseqEntry !== undefined && rseqEntry.rseqAbiPointer !== 0n) {
    const { rseqAbiPointer, rseqAbiSize, signature } = rseqEntry;
    checkRseq(thread, rseqAbiPointer, images);
    program.call("rseq", rseqAbiPointer, rseqAbiSize, 0, signature);
  }
}

/** How large the xsave area is here: what the kernel wants to be given, exactly. */
let xstateSize: number | undefined;

function armThread({ tracee, core }: ArmContext, saved: wait_entry | undefined): void {
  const { pid, tid } = tracee;
  const info = core.threadInfo;
  if (info?.gpregs === undefined) return;
  for (const entry of info.tls) {
    if (!isEmptyTls(entry)) writeTls(pid, tid, entry.entryNumber, decodeUserDesc(entry));
  }
  const image = decodeRegisters(info.gpregs);
  tracee.registers = liveRegisters(image, codeAt(pid, image.get("ip")));
  if (saved !== undefined) waitOn(tracee, image, saved);
  if (info.fpregs !== undefined) {
    const layout = xstateLayout();
    xstateSize ??= getRegisterSet(tid, NT.X86_XSTATE, XSTATE_LIMIT).byteLength;
    setRegisterSet(tid, NT.X86_XSTATE, decodeXstate(info.fpregs, layout, xstateSize));
  }
  const rseq = core.threadCore?.rseqEntry;
  if (rseq?.rseqCsPointer !== undefined && rseq.rseqCsPointer !== 0n) {
    using memory = new ProcessMemory(pid);
    const bytes = new Uint8Array(new BigUint64Array([rseq.rseqCsPointer]).buffer);
    memory.write(remoteAddress(rseq.rseqAbiPointer + BigInt(RSEQ_CS_OFFSET)), bytes);
  }
}

/** How far below the stack pointer nobody has anything: beyond the red zone of the ABI, which is 128 bytes. */
const BELOW_STACK = 512n;

/** Lets a thread that waits for a time go on for what was left of it. */
function waitOn(tracee: Tracee, image: Registers, { call, args, left }: wait_entry): void {
  const live = tracee.registers;
  const wait = args.length === 6 ? relativeWait(call, args) : undefined;
  // The registers may say that no call is to be made again.
  if (wait === undefined || live.get("orig_ax") !== BigInt(call)) return;
  const at = remoteAddress(BigInt.asUintN(64, image.get("sp") - BELOW_STACK) & ~15n);
  using memory = new ProcessMemory(tracee.pid);
  let before: Uint8Array | undefined;
  try {
    before = wait.timeout === undefined ? undefined : memory.read(at, 16);
    if (before !== undefined) memory.write(at, toTimespec(left));
  } catch (error) {
    // A stack that ends there: the wait begins anew.
    if (error instanceof StasisError) return;
    throw error;
  }
  const result = tracee.callInterrupted(waitCall(image, wait, left, at), "a wait that goes on");
  if (before !== undefined) memory.write(at, before);
  tracee.registers = afterWait(live, wait, result);
}

const codeBuffer = new Uint8Array(2);
const localVector = new BigUint64Array([addressOf(codeBuffer), 2n]);

/**
 * The two bytes at an instruction pointer, through process_vm_readv(2), which needs nothing to be opened.
 *
 * @returns undefined where they cannot be read: the thread will find out itself
 */
function codeAt(pid: number, ip: bigint): Uint8Array | undefined {
  const vector = new BigUint64Array([ip, 2n]);
  const count = syscall(SYSCALLS.process_vm_readv, pid, localVector, 1, vector, 1, 0);
  return count === 2n ? codeBuffer : undefined;
}

function writeTls(pid: number, tid: number, entry: number, bytes: Uint8Array): void {
  if (!isErrno(ptraceData(PTRACE_SET_THREAD_AREA, BigInt(tid), BigInt(entry), bytes))) return;
  throw new StasisError(
    "kernel-too-old",
    `thread ${tid} has a TLS entry (set_thread_area), which this kernel cannot set`,
    { pid, hint: "the kernel needs CONFIG_IA32_EMULATION" },
  );
}
