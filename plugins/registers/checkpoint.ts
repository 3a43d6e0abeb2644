/**
 * What is taken of a thread's registers at a checkpoint (`mod.ts` says what and how).
 *
 * @module
 */
import { WAITS } from "../../images/kinds/time.ts";
import type { rseq_entrySchema } from "../../images/gen/thread_pb.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { StasisError } from "../../base/errors.ts";
import { Pieces } from "../../base/pieces.ts";
import { type RemoteAddress, remoteAddress } from "../../core/linux/address.ts";
import { Errno, isErrno } from "../../core/linux/errno.ts";
import { ptrace, ptraceData, syscall } from "../../core/linux/libc_ffi.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import {
  getRegisterSet,
  getRseq,
  hasRegisterSet,
  NT,
  PTRACE,
  type RseqRegistration,
} from "../../core/linux/ptrace.ts";
import { getRseqs } from "../../core/linux/ptrace_many.ts";
import { readStatus } from "../../core/linux/procfs/mod.ts";
import type { Registers } from "../../core/linux/x86_64/registers.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  CollectedOfEach,
  FrozenThread,
  FrozenTree,
  StoppedThread,
} from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { writeCall } from "../../core/remote/undo.ts";
import { blockedIn } from "../../core/remote/wchan.ts";
import { PTRACE_GET_THREAD_AREA, readExtended, type RobustList, XSTATE_LIMIT } from "./extended.ts";
import { encodeRegisters } from "./general.ts";
import { type XstateLayout, xstateLayout } from "./layout.ts";
import { imageRegisters, isRestarted, originalCall, waitingAgain } from "./restart.ts";
import { looksFor, timesLeftByTimer, toldTimeLeft, type Waiting } from "./time_left.ts";
import { interruptedWait, type Wait } from "./waits.ts";
import { RSEQ_CS_OFFSET, rseqAction, rseqArea, rseqSection } from "./rseq.ts";
import {
  emptyTls,
  encodeUserDesc,
  isEmptyDesc,
  TLS_ENTRIES,
  type TlsEntry,
  userDesc,
} from "./tls.ts";
import { checkXstate, encodeXstate, packXstate, unpackXstate } from "./xstate.ts";

/** prctl(2): the address that the kernel clears at the thread's end. */
const PR_GET_TID_ADDRESS = 40;
/** modify_ldt(2), function 0: read. */
const MODIFY_LDT_READ = 0;

type RseqImage = MessageInitShape<typeof rseq_entrySchema>;

/** The hooks of a checkpoint. */
export function dumpRegisters(session: CheckpointSession): CheckpointHooks {
  const layout = xstateLayout();
  const registrations = new Map<number, RseqRegistration>();
  const sections = new Map<number, bigint>();
  const originals = new Map<number, bigint | undefined>();
  const aborted = new Map<number, RemoteAddress>();
  const waits = new Map<number, { readonly wait: Wait; readonly left: bigint }>();

  /** Finds out which calls threads were interrupted in, and how long they would have waited yet. */
  function examineThreads(threads: readonly StoppedThread[]): void {
    const untold: Waiting[] = [];
    session.check();
    for (const { tid, tracee } of threads) {
      const waiting = waitingAgain(tracee.registers);
      if (waiting !== undefined) tracee.registers = waiting;
      if (isRestarted(tracee.registers)) {
        session.check();
        const { registers } = tracee;
        originals.set(tid, blockedIn(tracee, (place) => originalCall(place, registers)));
      }
      const wait = interruptedWait(tracee.registers, originals.get(tid));
      if (wait === undefined) continue;
      const left = toldTimeLeft(tracee.pid, wait);
      if (left === undefined) untold.push({ tracee, wait });
      else if (!isFiltered(tracee)) waits.set(tid, { wait, left });
    }
    const looked = untold.slice(0, looksFor(untold.length))
      .filter(({ tracee }) => !isFiltered(tracee));
    const lefts = timesLeftByTimer(looked);
    for (const { tracee: { tid }, wait } of looked) {
      // It has been in its call again meanwhile.
      originals.set(tid, BigInt(wait.call));
      const left = lefts.get(tid);
      if (left !== undefined) waits.set(tid, { wait, left });
    }
    examineSections(threads);
  }

  function examineSections(threads: readonly StoppedThread[]): void {
    getRseqs(threads.map(({ tid }) => tid), (tid, found, index) => {
      const registration = found ?? rseqOf(tid);
      if (registration.pointer === 0n) return;
      registrations.set(tid, registration);
      examineSection(threads[index] as StoppedThread, registration);
    });
  }

  /** Ends a critical section that the thread stands in, before remote calls make the kernel forget it. */
  function examineSection({ tid, tracee }: StoppedThread, registration: RseqRegistration): void {
    // A thread that is inside a system call is in no critical section: those may make none.
    if (BigInt.asIntN(64, tracee.registers.get("orig_ax")) >= 0n) return;
    using memory = new ProcessMemory(tracee.pid);
    const area = rseqArea.read(memory.read(remoteAddress(registration.pointer), rseqArea.size));
    if (area.rseqCs === 0n) return;
    const section = rseqSection.read(memory.read(remoteAddress(area.rseqCs), rseqSection.size));
    const action = rseqAction(tracee.registers.get("ip"), area, section);
    const pointer = remoteAddress(registration.pointer + BigInt(RSEQ_CS_OFFSET));
    if (action.kind === "abort") {
      tracee.registers = tracee.registers.copy().set("ip", action.ip);
      aborted.set(tid, pointer);
    } else if (action.kind === "keep") {
      sections.set(tid, area.rseqCs);
      const bytes = new Uint8Array(new BigUint64Array([area.rseqCs]).buffer);
      // The kernel clears it when the thread runs anywhere else.
      tracee.noteUndo(writeCall(tracee.pid, pointer, bytes));
    }
  }

  /** What the kernel does when it ends a critical section. */
  function freezeThreads(threads: readonly StoppedThread[]): void {
    for (const { tid, tracee } of threads) {
      const pointer = aborted.get(tid);
      if (pointer === undefined) continue;
      using memory = new ProcessMemory(tracee.pid);
      memory.write(pointer, new Uint8Array(8));
    }
  }

  function collectThreads(program: SyscallProgram): CollectedOfEach {
    const clearTid = program.output(8, "clear_child_tid");
    const asked = program.try("prctl", PR_GET_TID_ADDRESS, clearTid);
    return ({ tid, task: { pid }, tracee, core }, reply) => {
      const registration = registrations.get(tid);
      if (registration !== undefined) {
        core.threadCore.rseqEntry = encodeRseq(registration, sections.get(tid));
      }
      const waiting = waits.get(tid);
      if (waiting !== undefined) {
        const { wait: { call, args }, left } = waiting;
        session.writer.append(WAITS, null, { pid, tid, call, args: [...args], left });
      }
      const isKnown = reply.result(asked) === 0n;
      const clearTidAddr = isKnown ? clearTidOf(reply.output(clearTid)) : 0n;
      core.threadInfo = new ThreadInfo(clearTidAddr, tracee.registers, originals.get(tid), layout);
    };
  }

  function dumpTree({ tasks }: FrozenTree): void {
    const pieces = new Pieces();
    const threads = tasks.flatMap(({ threads }) => threads);
    readExtended(threads.map(({ tid }) => tid), (told, index) => {
      const thread = threads[index] as FrozenThread;
      const { tid, core: { threadCore, threadInfo } } = thread;
      if (told.hasPorts ?? hasRegisterSet(tid, NT.IOPERM)) throw mayUsePorts(thread);
      const robustList = told.robustList ?? readRobustList(thread);
      threadCore.futexRla = robustList.head;
      threadCore.futexRlaLen = robustList.size;
      const info = threadInfo as ThreadInfo;
      info.xstate = keepXstate(thread, pieces, told.xstate);
      info.tls = TLS_ENTRIES.map((entry, which) => readTls(tid, entry, told.tls[which]));
    });
  }

  /** @param area as the kernel gave it, if it has */
  function keepXstate(
    { tid, task: { pid } }: FrozenThread,
    pieces: Pieces,
    area: Uint8Array = getRegisterSet(tid, NT.X86_XSTATE, XSTATE_LIMIT),
  ): Uint8Array {
    try {
      checkXstate(area);
      return packXstate(area, pieces);
    } catch (error) {
      if (!(error instanceof StasisError) || error.code !== "unsupported") throw error;
      const what = `thread ${tid} of task ${pid}: ${error.message}`;
      throw new StasisError("unsupported", what, { pid, hint: error.hint });
    }
  }

  return {
    survey({ tasks, problem }) {
      for (const { pid, status } of tasks) {
        if (!status.threadFeatures.includes("shstk")) continue;
        problem({
          pid,
          what: "it has a shadow stack (CET), which cannot be saved yet",
          hint: "start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off",
        });
      }
    },
    examineThreads,
    freezeThreads,
    collectTask(task, program) {
      const entries = program.output(16, "ldt");
      const read = program.try("modify_ldt", MODIFY_LDT_READ, entries, 16);
      return (reply) => {
        // The kernel gives as many bytes as there are entries, at most what was asked for.
        if (reply.result(read) <= 0n) return;
        throw new StasisError(
          "unsupported",
          `task ${task.pid} has a local descriptor table (modify_ldt), which cannot be saved`,
          {
            pid: task.pid,
            hint: "this is 16-bit or old 32-bit code, as in Wine's Windows 3 support",
          },
        );
      };
    },
    collectThreads,
    dumpTree,
  };
}

/** A thread's registers, as they were found: their images are made when they are encoded, and are many times as large. */
class ThreadInfo {
  /** As {@link packXstate} gives it. */
  xstate: Uint8Array = new Uint8Array();
  tls: TlsEntry[] = [];

  constructor(
    readonly clearTidAddr: bigint,
    readonly registers: Registers,
    readonly original: bigint | undefined,
    readonly layout: XstateLayout,
  ) {}

  get gpregs() {
    return encodeRegisters(imageRegisters(this.registers, this.original));
  }

  get fpregs() {
    return encodeXstate(unpackXstate(this.xstate), this.layout);
  }
}

/** Whether a thread's calls may be filtered: a filter may kill for restart_syscall(2), by which a wait goes on. */
function isFiltered({ pid, tid }: Tracee): boolean {
  // Not in filter mode; and one in strict mode cannot have begun to wait.
  const length = ptrace(PTRACE.SECCOMP_GET_FILTER, BigInt(tid), 0n, 0n);
  return length !== -BigInt(Errno.EINVAL) && (readStatus(pid, tid).seccomp ?? 0) !== 0;
}

/** A registration; none where the kernel cannot have any (no CONFIG_RSEQ) or cannot tell (before 5.13). */
function rseqOf(tid: number): RseqRegistration {
  try {
    return getRseq(tid);
  } catch (error) {
    if (!(error instanceof StasisError) || error.errno !== "EIO") throw error;
    return { pointer: 0n, size: 0, signature: 0, flags: 0 };
  }
}

/** The error for a thread that may use I/O ports (ioperm(2)). What iopl(2) gives cannot be seen. */
function mayUsePorts({ tid, task: { pid } }: FrozenThread): StasisError {
  return new StasisError(
    "unsupported",
    `thread ${tid} of task ${pid} may use I/O ports (ioperm), which cannot be saved`,
    { pid, hint: "it drives hardware, whose state cannot be saved either" },
  );
}

function clearTidOf(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
}

function encodeRseq(registration: RseqRegistration, section: bigint | undefined): RseqImage {
  return {
    rseqAbiPointer: registration.pointer,
    rseqAbiSize: registration.size,
    signature: registration.signature,
    rseqCsPointer: section,
  };
}

function readRobustList({ tid, task }: FrozenThread): RobustList {
  const answer = new BigUint64Array(2);
  const result = syscall(
    SYSCALLS.get_robust_list,
    tid,
    answer.subarray(0, 1),
    answer.subarray(1, 2),
  );
  // ENOSYS: no CONFIG_FUTEX, so nobody has one.
  if (result === -38n) return { head: 0n, size: 0 };
  if (!isErrno(result)) return { head: answer[0] as bigint, size: Number(answer[1]) };
  throw new StasisError("syscall", `the robust list of thread ${tid} cannot be read`, {
    pid: task.pid,
  });
}

const EMPTY_TLS = new Map(TLS_ENTRIES.map((entry) => [entry, emptyTls(entry)]));

/** @param told what the kernel has told of it, if it has */
function readTls(tid: number, entry: typeof TLS_ENTRIES[number], told?: Uint8Array): TlsEntry {
  const bytes = told ?? new Uint8Array(userDesc.size);
  const result = told ?? ptraceData(PTRACE_GET_THREAD_AREA, BigInt(tid), BigInt(entry), bytes);
  const empty = EMPTY_TLS.get(entry) as TlsEntry;
  // A kernel without 32-bit support (CONFIG_IA32_EMULATION) has no such request, and no such entries.
  if (typeof result === "bigint" && isErrno(result)) return empty;
  return isEmptyDesc(bytes) ? empty : encodeUserDesc(bytes);
}
