/**
 * `stasis watch`: a tree that runs already, saved again and again.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { namedThread } from "../core/named_thread.ts";
import { pollInBackground } from "../core/linux/libc_ffi.ts";
import { openPidfd } from "../core/linux/pidfd.ts";
import { readCmdline, readStatus } from "../core/linux/procfs/mod.ts";
import { tellIfFails } from "./events.ts";
import { Keeper, type KeepSettings } from "./keep_saving.ts";
import { nameProcess } from "./process_name.ts";
import { isSameProcess, type Owner } from "./records.ts";
import { Requests } from "./requests.ts";
import { Store, StoreReader } from "./store.ts";

/** What is wanted. */
export interface WatchRequest extends KeepSettings {
  /** The root of the tree. */
  readonly pid: number;
  /** The store. */
  readonly directory: string;
}

/** What has become of the tree. */
export type WatchOutcome =
  /** It has ended. */
  | "ended"
  /** It was saved a last time, and runs on. */
  | "saved"
  /** It runs on, and could not be saved a last time. */
  | "not-saved"
  /** The watching was ended, by SIGINT, SIGHUP or SIGQUIT: it runs on. */
  | "left";

/**
 * Watches a tree.
 *
 * @throws {StasisError} where it cannot be saved at all, or the store is another's
 */
export async function watchTree(request: WatchRequest): Promise<WatchOutcome> {
  const { pid, directory, tell } = request;
  requireProcess(pid);
  const process = nameProcess(pid);
  using pidfd = openPidfd(pid);
  using store = Store.open(directory, ownerOf(directory, pid));
  tellIfFails(tell, () => store.forgetUnmade());
  const left = new AbortController();
  using requests = new Requests(() => {
    left.abort();
    requests.end();
  });
  void untilEnd(pidfd.fd).then(() => requests.end());
  store.noteRunning(process);
  using keeper = new Keeper(store, { pid, innerPid: pid }, request);
  const signal = AbortSignal.any([requests.abortedByStop(), left.signal]);
  await keeper.save(true, signal).catch((error) => {
    // It has ended, or is left: that is told next.
    if (requests.hasEnded) return;
    // A full disk ends no watching; what stands against each save does.
    if (!requests.isToStop && (error as StasisError).code !== "io") throw error;
    if (!requests.isToStop) tell({ event: "not-saved", error });
  });
  if (await keeper.whileItRuns(requests) === "stop") {
    return await keeper.saveLast(true) ? "saved" : "not-saved";
  }
  if (left.signal.aborted) return "left";
  tell({ event: "ended" });
  return "ended";
}

/** @throws {StasisError} where the id is a thread's, or nobody's */
function requireProcess(pid: number): void {
  const { tgid } = readStatus(pid);
  if (tgid !== pid) throw namedThread(pid, tgid, "watch");
}

/** Whose store it is to be: one of a job whose command was killed goes on as that. */
function ownerOf(directory: string, pid: number): Owner {
  const process = nameProcess(pid);
  const watched: Owner = { kind: "watch", command: readCmdline(pid), process };
  const reader = new StoreReader(directory);
  try {
    const running = reader.running();
    const owner = reader.owner();
    const isJob = running !== undefined && isSameProcess(running, process);
    return isJob && owner !== undefined ? owner : watched;
  } catch (error) {
    if (error instanceof StasisError) return watched; // told when the store is opened
    throw error;
  }
}

/** Waits until a process has ended. @param fd a pidfd */
async function untilEnd(fd: number): Promise<void> {
  while (!await pollInBackground(fd));
}
