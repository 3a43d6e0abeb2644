/**
 * Sending the threads of a stopped tree to where they can only wait, so that the tool may die while the tree is not
 * as it was (`core/guardian/guardian.ts`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { offsetAddress, type RemoteAddress, remoteAddress } from "../linux/address.ts";
import { ProcessMemory } from "../linux/memory.ts";
import {
  type Mapping,
  mappingKind,
  PROT_EXEC,
  PROT_READ,
  readStatus,
} from "../linux/procfs/mod.ts";
import { LANDING_WORDS } from "../linux/x86_64/waiting_code.ts";
import { type CodePlaces, type CodeRegion, findCodePlaces } from "../remote/code_places.ts";
import type { Shelter } from "../remote/remote_calls.ts";
import { type InnerIds, RemoteTask } from "../remote/remote_task.ts";
import { Tracee } from "../remote/tracee.ts";
import type { ParkedThread, WaitingPlace } from "../remote/tracee_state.ts";
import type { Rescuer } from "../remote/undo.ts";
import { findHole } from "../restore/layout.ts";
import type { StoppedProcess } from "./freeze.ts";
import type { Task } from "./task.ts";
import { watchTracer } from "./watch_tracer.ts";

const PROT_WRITE = 2;

/** A process all of whose threads wait. */
export interface ParkedProcess extends StoppedProcess {
  readonly places: CodePlaces;
}

/** Parks all threads of a tree. @param between is called between two processes, and may throw */
export function parkTree(
  processes: readonly StoppedProcess[],
  rescuer: Rescuer,
  between: () => void = () => {},
): ParkedProcess[] {
  const parked: ParkedProcess[] = [];
  const threads: ParkedThread[] = [];
  for (const process of processes) {
    between();
    const { proc, tracees, sharedPending: shared } = process;
    using memory = new ProcessMemory(proc.liveTid);
    const places = findCodePlaces(memory, codeRegions(proc));
    const place = waitingPlace(places);
    if (place === undefined) throw hasNoCall(proc.pid);
    const caught = proc.status.sigCaught;
    for (const thread of tracees) threads.push({ thread, place, caught, shared });
    parked.push({ ...process, places });
  }
  Tracee.park(threads, rescuer);
  return parked;
}

function waitingPlace({ waiting, instruction, returns }: CodePlaces): WaitingPlace | undefined {
  if (waiting !== undefined) return { address: waiting, isCall: false, isLanding: returns };
  return instruction && { address: instruction, isCall: true, isLanding: false };
}

function hasNoCall(pid: number): StasisError {
  return new StasisError("unsupported", `task ${pid} has no syscall instruction anywhere`, { pid });
}

/** Opens a parked process for remote calls. */
export function openRemote(process: ParkedProcess, rescuer: Rescuer): RemoteTask {
  const { proc, tracees, sharedPending, places } = process;
  if (places.instruction === undefined) throw hasNoCall(proc.pid);
  const inner: InnerIds = {
    pid: proc.status.nsTgid.at(-1) ?? proc.pid,
    tid: (tid) => tid === proc.liveTid ? proc.status.nsPid.at(-1) ?? tid : innerTid(proc, tid),
  };
  const leader = tracees[0] as Tracee;
  return new RemoteTask(
    leader,
    sharedPending,
    places.instruction,
    inner,
    shelterOf(process, leader, rescuer),
    tracees.some(({ watchesTracer }) => watchesTracer)
      ? (remote) => watchTracer(remote, rescuer, tracees)
      : undefined,
  );
}

function shelterOf(
  { proc, places: { waiting, returns } }: ParkedProcess,
  leader: Tracee,
  rescuer: Rescuer,
): Shelter {
  const stack = landingStack(leader.registers.get("sp"), proc.mappings);
  return {
    rescuer,
    landing: returns && waiting !== undefined && stack !== undefined
      ? { waiting, stack }
      : undefined,
    findRoom(size) {
      try {
        return findHole(proc.mappings, size);
      } catch (error) {
        if (error instanceof StasisError) return undefined;
        throw error;
      }
    },
  };
}

/** What lies below the stack pointer and is not the program's to overwrite (the red zone of the ABI), in bytes. */
const RED_ZONE = 128n;
/** How much of memory the words take that lead a call to its waiting place. */
const WORDS = BigInt(2 * LANDING_WORDS * 8);

/**
 * The middle of memory for those words: below the stack, where the kernel puts the frames of signal handlers, or,
 * where that is no memory, in whatever the process may write to. It is put back before the process runs.
 */
export function landingStack(sp: bigint, vmas: readonly Mapping[]): RemoteAddress | undefined {
  const start = (sp - RED_ZONE - WORDS) & ~15n;
  const usable = (vma: Mapping) =>
    !vma.shared && (vma.prot & (PROT_READ | PROT_WRITE)) === (PROT_READ | PROT_WRITE);
  const below = vmas.find((vma) => vma.start <= start && start + WORDS <= vma.end);
  const vma = below !== undefined && usable(below) ? below : vmas.find(usable);
  if (vma === undefined) return undefined;
  return offsetAddress(remoteAddress(vma === below ? start : vma.start), WORDS / 2n);
}

function innerTid(proc: Task, tid: number): number {
  // One namespace level: the ids are the same, and 1000 threads need no 1000 files.
  if (proc.status.nsPid.length <= 1) return tid;
  return readStatus(proc.pid, tid).nsPid.at(-1) ?? tid;
}

/** Where the task has code: the vDSO first, which has a system call instruction, then the rest. */
function* codeRegions(proc: Task): Generator<CodeRegion> {
  // A program may take the right to execute it away from its vDSO, too.
  const code = proc.mappings.filter((vma) =>
    (vma.prot & PROT_EXEC) !== 0 && mappingKind(vma) !== "vsyscall"
  );
  const vdso = code.find((vma) => mappingKind(vma) === "vdso");
  if (vdso !== undefined) yield vdso;
  for (const vma of code) if (vma !== vdso) yield vma;
}
