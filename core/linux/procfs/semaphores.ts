/**
 * `/proc/sysvipc/sem`: the System V semaphores of the reader's IPC namespace. Source: proc_sysvipc(5); kernel
 * ipc/sem.c, sysvipc_sem_proc_show().
 *
 * @module
 */

/** A set of semaphores. */
export interface SemaphoreSet {
  /** What semget(2) gives. */
  readonly id: number;
  /** How many semaphores it has. */
  readonly size: number;
}

/** Parses the text of the file: a head, then a line a set. */
export function parseSemaphores(text: string): readonly SemaphoreSet[] {
  return text.split("\n").slice(1).filter((line) => line.trim() !== "").map((line) => {
    const [, id, , size] = line.trim().split(/\s+/).map(Number);
    return { id: id as number, size: size as number };
  });
}

/** Reads the sets; none on a kernel without System V IPC. */
export function readSemaphores(): readonly SemaphoreSet[] {
  try {
    return parseSemaphores(Deno.readTextFileSync("/proc/sysvipc/sem"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
