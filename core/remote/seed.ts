/**
 * The seed: a process with nothing in it but a page of code that waits. Every restored task is a clone of
 * it, so it starts with no handlers, no libc and no memory of its own.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { Errno, errnoName, isErrno } from "../linux/errno.ts";
import { cString, posixSpawn, pwrite, syscall } from "../linux/libc_ffi.ts";
import { OwnedDescriptor } from "../linux/pidfd.ts";
import { SIG } from "../linux/signals.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { ProcessMemory } from "../linux/memory.ts";
import { mappingKind, readMaps } from "../linux/procfs/mod.ts";
import { PTRACE_O, waitForStop } from "../linux/ptrace.ts";
import { findCodePlaces } from "./code_places.ts";
import { RemoteTask } from "./remote_task.ts";
import { beginStop, finishStop } from "./stop_thread.ts";
import type { Tracee } from "./tracee.ts";

const MFD_CLOEXEC = 1;
/** Where the seed's page of code lies; it is unmapped before a task's own memory is built. */
const LOAD_ADDRESS = 0x10000n;

/**
 * Waits for ever, and dies with this process: it may be killed before it has got to tracing its child.
 *
 * @param parent the pid of this process: where it is dead by the time that the seed asks to be told, it has another one
 */
function seedCode(parent: number): number[] {
  const pid = [...new Uint8Array(Uint32Array.of(parent).buffer)];
  // deno-fmt-ignore
  return [
    0xbf, 1, 0, 0, 0,          // 00 mov edi, 1    ; PR_SET_PDEATHSIG
    0xbe, 9, 0, 0, 0,          // 05 mov esi, 9    ; SIGKILL
    0xb8, 157, 0, 0, 0,        // 0a mov eax, 157  ; prctl
    0x0f, 0x05,                // 0f syscall
    0xb8, 110, 0, 0, 0,        // 11 mov eax, 110  ; getppid
    0x0f, 0x05,                // 16 syscall
    0x3d, ...pid,              // 18 cmp eax, parent
    0x75, 0x09,                // 1d jne 28
    0xb8, 34, 0, 0, 0,         // 1f mov eax, 34   ; pause
    0x0f, 0x05,                // 24 syscall
    0xeb, 0xf7,                // 26 jmp 1f
    0xb8, 231, 0, 0, 0,        // 28 mov eax, 231  ; exit_group
    0x0f, 0x05,                // 2d syscall
  ];
}

/**
 * The request of prctl(2) for that, with the signal: 0 in a seed which is to survive this process, SIGKILL in one which
 * is to be let go without having run.
 */
export const PR_SET_PDEATHSIG = 1;

/** A static ELF file of one segment with the code behind its headers (elf(5)). */
export function seedExecutable(): Uint8Array {
  const headers = 64 + 56;
  const code = seedCode(Deno.pid);
  const bytes = new Uint8Array(headers + code.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // magic, 64-bit, little-endian, version 1
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, 62, true); // EM_X86_64
  view.setUint32(20, 1, true); // version
  view.setBigUint64(24, LOAD_ADDRESS + BigInt(headers), true); // entry
  view.setBigUint64(32, 64n, true); // program headers
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(68, 5, true); // readable, executable
  view.setBigUint64(80, LOAD_ADDRESS, true);
  view.setBigUint64(88, LOAD_ADDRESS, true);
  view.setBigUint64(96, BigInt(bytes.length), true);
  view.setBigUint64(104, BigInt(bytes.length), true);
  view.setBigUint64(112, 0x1000n, true);
  bytes.set(code, headers);
  return bytes;
}

/** The size of glibc's posix_spawnattr_t on x86-64 and where its signal sets lie (`spawn.h`). */
const SPAWN_ATTRIBUTES = { size: 336, defaultSignals: 8, setSize: 128 };
const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;

/** The seed's ptrace options, which every task that is built inherits: it dies with its tracer. */
export const SEED_OPTIONS: bigint = PTRACE_O.TRACESYSGOOD | PTRACE_O.EXITKILL;

/**
 * Starts the seed and stops it. It and all its clones die with this process until they are released.
 *
 * @param cancellation of the operation that it is for
 * @param name its command line, as ps(1) shows it
 */
export function startSeed(
  cancellation?: Cancellation,
  name: readonly string[] = ["stasis-seed"],
): Tracee {
  const created = syscall(SYSCALLS.memfd_create, cString("stasis-seed"), MFD_CLOEXEC);
  if (isErrno(created)) throw failed("memfd_create", created);
  using file = new OwnedDescriptor(Number(created));
  const executable = seedExecutable();
  pwrite(file.fd, executable, 0n);
  // All signals at their default and none blocked, whatever this process ignores.
  const attributes = new Uint8Array(SPAWN_ATTRIBUTES.size);
  const flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  new DataView(attributes.buffer).setInt16(0, flags, true);
  const { defaultSignals, setSize } = SPAWN_ATTRIBUTES;
  attributes.fill(0xff, defaultSignals, defaultSignals + setSize);
  const pid = posixSpawn(`/proc/self/fd/${file.fd}`, name, [], attributes);
  if (pid < 0) throw failed("posix_spawn", BigInt(pid));
  try {
    if (!beginStop(pid, SEED_OPTIONS)) throw vanished(pid);
    const tracee = finishStop(pid, pid, SEED_OPTIONS, cancellation);
    if (tracee === undefined) throw vanished(pid);
    return tracee;
  } catch (error) {
    endSeed(pid);
    throw error;
  }
}

/** Opens a seed for remote calls. */
export function openSeed(seed: Tracee): RemoteTask {
  const { pid } = seed;
  const vdso = readMaps(pid).filter((mapping) => mappingKind(mapping) === "vdso");
  using memory = new ProcessMemory(pid);
  const { instruction } = findCodePlaces(memory, vdso);
  if (instruction === undefined) {
    throw new StasisError("kernel-too-old", "the vDSO of this kernel has no syscall instruction");
  }
  return new RemoteTask(seed, [], instruction, { pid, tid: (tid) => tid });
}

/** Kills the seed and reaps it. One that must not be killed dies with this process, which traces it. */
export function endSeed(pid: number): void {
  const sent = syscall(SYSCALLS.kill, pid, SIG.KILL);
  if (isErrno(sent) && sent !== -BigInt(Errno.ESRCH)) return;
  for (;;) {
    // Stops that were still to be told of come first.
    const { kind } = waitForStop(pid);
    if (kind === "killed" || kind === "exited" || kind === "absent") return;
  }
}

function failed(what: string, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("syscall", `the seed process cannot be started: ${what}: ${errno}`, {
    errno,
  });
}

function vanished(pid: number): StasisError {
  return new StasisError("no-such-task", `the seed process ${pid} was killed at its birth`, {
    hint: "try again; the kernel's log says whether it had too little memory",
  });
}
