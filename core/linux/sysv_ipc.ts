/**
 * System V IPC: the constants and structures of shmctl(2), semctl(2), semop(2), msgctl(2) and msgrcv(2), and what
 * can be asked of an object without changing it.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { syscall } from "./libc_ffi.ts";
import { defineStruct } from "./struct.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** Flags and commands of all kinds (include/uapi/linux/ipc.h). */
export const IPC = {
  CREAT: 0o1000,
  EXCL: 0o2000,
  NOWAIT: 0o4000,
  RMID: 0,
  SET: 1,
  STAT: 2,
} as const;

/** Of shared memory (include/uapi/linux/shm.h). */
export const SHM = { HUGETLB: 0o4000, RDONLY: 0o10000, LOCK: 11 } as const;
/** Of semaphores (include/uapi/linux/sem.h). */
export const SEM = {
  UNDO: 0x1000,
  GETPID: 11,
  GETVAL: 12,
  GETALL: 13,
  GETNCNT: 14,
  GETZCNT: 15,
  SETVAL: 16,
} as const;
/** Of messages (include/uapi/linux/msg.h); MSG_COPY needs CONFIG_CHECKPOINT_RESTORE. */
export const MSG = { NOERROR: 0o10000, COPY: 0o40000 } as const;

/** The greatest value of a semaphore and of an adjustment (SEMVMX, SEMAEM); the least adjustment is one less than `-MAX`. */
export const SEMAPHORE_MAX = 32767;

/** Ids that differ by a multiple of this have the same place in the kernel's table (IPCMNI of ipc/util.h). */
export const SYSV_PLACES = 32768;

/** The part of `struct ipc64_perm` that IPC_SET takes, which all of `*id_ds` begin with. */
const PERM = { uid: [4, "u32"], gid: [8, "u32"], mode: [20, "u32"] } as const;

/** `struct shmid64_ds` (include/uapi/asm-generic/shmbuf.h). */
export const shmidDs = defineStruct("shmid64_ds", 112, PERM);
/** `struct semid64_ds` (arch/x86/include/uapi/asm/sembuf.h). */
export const semidDs = defineStruct("semid64_ds", 104, PERM);
/** `struct msqid64_ds` (include/uapi/asm-generic/msgbuf.h). */
export const msqidDs = defineStruct("msqid64_ds", 120, { ...PERM, qbytes: [88, "u64"] });

/** One operation of semop(2). */
export interface SemaphoreOperation {
  readonly num: number;
  readonly op: number;
  readonly flags: number;
}

/** Bytes of a `struct sembuf`. */
const SEMBUF_SIZE = 6;

/** The `struct sembuf`s of operations. */
export function encodeOperations(operations: readonly SemaphoreOperation[]): Uint8Array {
  const bytes = new Uint8Array(operations.length * SEMBUF_SIZE);
  const view = new DataView(bytes.buffer);
  operations.forEach(({ num, op, flags }, index) => {
    view.setUint16(index * SEMBUF_SIZE, num, true);
    view.setInt16(index * SEMBUF_SIZE + 2, op, true);
    view.setInt16(index * SEMBUF_SIZE + 4, flags, true);
  });
  return bytes;
}

/** A message. */
export interface SysvMessage {
  /** Greater than 0. */
  readonly type: bigint;
  readonly text: Uint8Array;
}

/** A `struct msgbuf`. */
export function encodeMessageBuffer({ type, text }: SysvMessage): Uint8Array {
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigInt64(0, type, true);
  bytes.set(text, 8);
  return bytes;
}

/** The values of a set's semaphores. @throws {StasisError} `syscall`, `no-privilege` */
export function semaphoreValues(id: number, count: number): readonly number[] {
  const bytes = new Uint8Array(count * 2);
  must(syscall(SYSCALLS.semctl, id, 0, SEM.GETALL, bytes), `semaphores ${id}`);
  return [...new Uint16Array(bytes.buffer)];
}

/** The value of one semaphore. @throws {StasisError} `syscall`, `no-privilege` */
export function semaphoreValue(id: number, num: number): number {
  return ask(id, num, SEM.GETVAL);
}

/** How many threads wait for a set's semaphores. @throws {StasisError} */
export function semaphoreWaiters(id: number, count: number): number {
  let waiters = 0;
  for (let num = 0; num < count; num++) {
    waiters += ask(id, num, SEM.GETNCNT) + ask(id, num, SEM.GETZCNT);
  }
  return waiters;
}

/** The processes that last changed each semaphore of a set, 0 where nobody is known. @throws {StasisError} */
export function semaphoreUsers(id: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, num) => ask(id, num, SEM.GETPID));
}

function ask(id: number, num: number, command: number): number {
  return Number(must(syscall(SYSCALLS.semctl, id, num, command, 0), `semaphores ${id}`));
}

/** How many bytes a queue may hold. @throws {StasisError} */
export function queueLimit(id: number): number {
  const bytes = new Uint8Array(msqidDs.size);
  must(syscall(SYSCALLS.msgctl, id, IPC.STAT, bytes), `message queue ${id}`);
  return Number(msqidDs.read(bytes).qbytes);
}

/** A copy of the messages of a queue, which stay in it. @param bytes how much is in it @throws {StasisError} */
export function peekMessages(id: number, count: number, bytes: number): readonly SysvMessage[] {
  const buffer = new Uint8Array(8 + bytes);
  const view = new DataView(buffer.buffer);
  return Array.from({ length: count }, (_, index) => {
    const flags = MSG.COPY | IPC.NOWAIT;
    const size = must(
      syscall(SYSCALLS.msgrcv, id, buffer, bytes, index, flags),
      `message queue ${id}`,
    );
    return { type: view.getBigInt64(0, true), text: buffer.slice(8, 8 + Number(size)) };
  });
}

function must(result: bigint, what: string): bigint {
  if (!isErrno(result)) return result;
  const errno = errnoName(-result);
  const denied = errno === "EACCES" || errno === "EPERM";
  throw new StasisError(
    denied ? "no-privilege" : "syscall",
    `System V ${what} cannot be read: ${errno}`,
    {
      errno,
      hint: denied
        ? "run as root, or with CAP_IPC_OWNER"
        : errno === "ENOSYS"
        ? "the kernel needs CONFIG_CHECKPOINT_RESTORE"
        : "try again: somebody may have removed it meanwhile",
    },
  );
}
