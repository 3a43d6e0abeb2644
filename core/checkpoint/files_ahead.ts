/**
 * Which files of `/proc` another thread reads as soon as a tree stands still (`core/linux/x86_64/read_ahead_ffi.ts`), in
 * the order in which they are wanted: those of the core first.
 *
 * @module
 */
import type { Hooked } from "../hooks.ts";
import { sleep } from "../linux/libc_ffi.ts";
import { taskPath, unlessGone } from "../linux/procfs/mod.ts";
import type { FileAhead, ReadAhead } from "../linux/x86_64/read_ahead_ffi.ts";
import type { CheckpointHooks, FilesRead } from "../plugin.ts";
import type { Task } from "./task.ts";

/** What the core reads of each process, by how many bytes it has at the most, nearly always. */
const STATUS = 2048, STAT = 1024;
/**
 * What a mapping takes in smaps, with a long name; what more there may be; what is read ahead of one process at the most:
 * more of it is wanted before it has been read.
 */
const OF_A_MAPPING = 800, MORE = 16384, MOST = 1 << 18;

/**
 * The files of tasks as they were looked at before: of what they have got since nothing is read ahead, nor of those that
 * have ended.
 *
 * @param isQuick whether the mappings of a task are read in another way
 */
export function* filesAhead(
  surveyed: readonly Pick<Task, "pid" | "threads" | "vmas">[],
  plugins: readonly Hooked<Pick<CheckpointHooks, "reads">>[],
  isQuick: (pid: number) => boolean = () => false,
): Generator<FileAhead> {
  const tasks = surveyed.flatMap((task) =>
    unlessGone(() => {
      const { pid, threads, vmas } = task;
      return vmas.length === 0 ? [] : [{ pid, threads, vmas }];
    }, [])
  );
  for (const { pid, vmas } of tasks) {
    const smaps = vmas.length * OF_A_MAPPING + MORE;
    const isRead = smaps <= MOST && !isQuick(pid);
    yield* filesIn(taskPath(pid), isRead ? { status: STATUS, smaps } : { status: STATUS });
  }
  for (const { pid } of tasks) yield* filesIn(taskPath(pid), { stat: STAT });
  for (const { hooks: { reads } } of plugins) {
    for (const { pid, threads } of tasks) {
      if (reads?.ofTasks !== undefined) yield* filesIn(taskPath(pid), reads.ofTasks);
      if (reads?.ofThreads === undefined) continue;
      for (const tid of threads) {
        if (tid !== pid) yield* filesIn(taskPath(pid, tid), reads.ofThreads);
      }
    }
  }
}

function* filesIn(directory: string, read: FilesRead): Generator<FileAhead> {
  for (const [name, room] of Object.entries(read)) yield { path: `${directory}/${name}`, room };
}

/** For how long another thread may still read what nobody wants any more, in milliseconds. */
const LETTING_FINISH = 500;

/**
 * Waits in the end for the other thread, unless it waits itself for a process that nobody can look at: whoever is told of
 * a failure is not to find a file open.
 */
export function finishing(ahead: ReadAhead): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      for (let waited = 0; !ahead.isFinished && waited < LETTING_FINISH; waited++) await sleep(1);
    },
  };
}
