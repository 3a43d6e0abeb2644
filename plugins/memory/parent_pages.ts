/**
 * The pages of the checkpoint before this one, and which of them are as they were.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE, remoteAddress } from "../../core/linux/address.ts";
import type { CheckpointParent, CheckpointSession, FrozenTask } from "../../core/plugin.ts";
import type { Run } from "./runs.ts";
import { mergeRuns } from "./parent_layout.ts";
import { type SavedRun, uncovered } from "./saved_pages.ts";
import { parentObjectRuns, parentTaskRuns } from "./task_runs.ts";
import { PageComparer, savedBefore } from "./unchanged_pages.ts";

/** What is left to the checkpoint before. */
export class ParentPages implements Disposable {
  readonly #session: CheckpointSession;
  readonly #parent: CheckpointParent;
  readonly #comparer: PageComparer;

  constructor(session: CheckpointSession, parent: CheckpointParent) {
    this.#session = session;
    this.#parent = parent;
    this.#comparer = new PageComparer(() => session.check());
  }

  /**
   * The pages of a task that have not changed: of what was not written to nothing else is looked at. They are read
   * through its memory file, which reads what nobody else may and leaves pages in common that are (process_vm_readv(2)
   * would give the task a copy of each).
   *
   * @param runs those that hold something
   */
  ofTask({ pid, remote }: FrozenTask, runs: readonly Run[]): SavedRun[] {
    const both = savedBefore(runs, parentTaskRuns(this.#parent.images, pid));
    const { tracking } = this.#session;
    const unwritten = (tracking?.unwritten(pid, this.#parent.sum) ?? [])
      .map(({ start, end }) => ({ start, size: end - start }));
    const same = savedBefore(unwritten, both);
    const unknown = uncovered(both, unwritten, () => true);
    const equal = this.#comparer.unchanged(unknown, {
      fd: remote.memory.fd,
      readInto: (address, buffer) => remote.memory.readInto(remoteAddress(address), buffer),
    });
    return mergeRuns(same, equal);
  }

  /**
   * The same of a shared memory object; says that they are in the parent.
   *
   * @param size the object's, in bytes. The last page is written wherever it ends within one: no read tells of what is
   *   behind the end.
   */
  ofObject(shmid: bigint, fd: number, size: bigint, runs: readonly Run[]): SavedRun[] {
    const whole = size / PAGE_SIZE * PAGE_SIZE;
    const both = savedBefore(runs, parentObjectRuns(this.#parent.images, shmid));
    const within = both.flatMap((run) => {
      const left = whole - run.start;
      return left <= 0n ? [] : [{ ...run, size: run.size < left ? run.size : left }];
    });
    const unchanged = this.#comparer.unchanged(within, {
      fd,
      readInto() {
        throw new StasisError("io", `shared memory ${shmid} became shorter while it was saved`);
      },
    });
    if (unchanged.length > 0) this.link();
    return unchanged;
  }

  /** Says that something is left to the checkpoint before. */
  link(): void {
    const { images, sum } = this.#parent;
    this.#session.writer.linkParent(images.path, sum);
  }

  [Symbol.dispose](): void {
    this.#comparer[Symbol.dispose]();
  }
}
