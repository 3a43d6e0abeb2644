/**
 * The scratch memory that a stopped task lends, and the page in it by which programs see whether their tracer lives.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { offsetAddress, PAGE_SIZE, pageAlign, type RemoteAddress } from "../linux/address.ts";
import { isErrno } from "../linux/errno.ts";
import { RemoteCalls } from "./remote_calls.ts";
import {
  mapScratch,
  mapScratchInMany,
  type Scratch,
  SCRATCH_HEADER,
  unmapScratch,
} from "./scratch_memory.ts";
import type { CallSite } from "./tracee_calls.ts";

/** A stopped task that lends scratch memory. */
export abstract class RemoteScratch extends RemoteCalls {
  #scratch: Scratch | undefined;
  #ownsScratch = true;
  /** Where programs look whether their tracer lives; undefined if they need not. */
  #alive: RemoteAddress | undefined;
  /** Whether what is to be done with scratch memory first has been done ({@link prepare}). */
  #isPrepared = false;

  /**
   * Uses memory that the target has already, code page included, and that is not to be given back: what a
   * restored task inherits from the seed.
   */
  adoptScratch(address: RemoteAddress, size: bigint): void {
    this.#scratch = { address, size };
    this.#ownsScratch = false;
  }

  /** Leaves the scratch memory to the target. @returns where it lies, its code first */
  keepScratch(): { readonly address: RemoteAddress; readonly size: bigint } {
    this.#ownsScratch = false;
    return this.#scratch ??= this.#takeScratch(SCRATCH_HEADER);
  }

  /** Is called when the task has got scratch memory. */
  protected abstract prepare(): void;

  /** Brings programs whose end nobody has awaited to their end, and their threads to where they wait. */
  protected abstract endPrograms(): void;

  protected override get isPrepared(): boolean {
    return this.#isPrepared;
  }

  protected override get watched(): CallSite["watched"] {
    if (this.#alive === undefined) return undefined;
    return { code: this.code, alive: this.#alive };
  }

  /** Where the code of programs lies, in scratch memory that has been taken. */
  protected get code(): RemoteAddress {
    return (this.#scratch as Scratch).address;
  }

  /** Where a page fits that tells programs whether their tracer lives. */
  get alivePage(): RemoteAddress {
    return offsetAddress(this.code, PAGE_SIZE);
  }

  /** Where the page lies that is nobody's (`ScratchData.SPARE_PAGE`), in scratch memory that has been taken. */
  get sparePage(): RemoteAddress {
    return offsetAddress(this.code, 2n * PAGE_SIZE);
  }

  /** From now on programs make no further call once their tracer is dead: {@link alivePage} is mapped. */
  watchTracer(): void {
    this.#alive = this.alivePage;
  }

  /** Makes sure of scratch memory for programs of `size` bytes, and says where they go. */
  protected room(size: number): RemoteAddress {
    const needed = SCRATCH_HEADER + pageAlign(BigInt(size));
    if (this.#scratch !== undefined && this.#scratch.size < needed) {
      if (!this.#ownsScratch) {
        throw new StasisError(
          "internal",
          `a program of ${size} bytes outgrows the scratch memory`,
          {
            pid: this.pid,
          },
        );
      }
      this.giveBackScratch();
    }
    if (this.#scratch === undefined) {
      this.#scratch = this.#takeScratch(needed);
      this.prepare();
      this.#isPrepared = true;
    }
    return offsetAddress(this.code, SCRATCH_HEADER);
  }

  /** Makes sure of scratch memory in many tasks. Those that cannot have it together with others get it by themselves. */
  protected static makeRooms(
    tasks: readonly { readonly remote: RemoteScratch; readonly size: number }[],
  ): void {
    const lacking = tasks.filter(({ remote }) => remote.#scratch === undefined && remote.canJoin);
    if (lacking.length < 2) return;
    const borrowers = lacking.map(({ remote, size }) => ({
      task: remote,
      needed: SCRATCH_HEADER + pageAlign(BigInt(size)),
      findRoom: (size: bigint) => remote.shelter?.findRoom(size),
      take: (scratch: Scratch) => void (remote.#scratch = scratch),
    }));
    RemoteScratch.landInMany(
      lacking.map(({ remote }) => remote),
      false,
      (callMany) => mapScratchInMany(borrowers, callMany),
    );
    for (const { remote } of lacking) {
      if (remote.#scratch === undefined) continue;
      remote.prepare();
      remote.#isPrepared = true;
    }
  }

  #takeScratch(needed: bigint): Scratch {
    return this.landing(() => mapScratch(this, needed, this.shelter?.findRoom));
  }

  /** Unmaps the scratch memory that was taken, if any was. */
  giveBackScratch(): void {
    const scratch = this.#scratch;
    if (scratch === undefined || !this.#ownsScratch) return;
    this.endPrograms();
    try {
      // The call begins in that very memory, where it looks for the last time whether the tracer lives.
      unmapScratch(this, scratch);
    } finally {
      this.#scratch = undefined;
      this.#alive = undefined;
      this.#isPrepared = false;
    }
  }

  /** Unmaps the scratch memory of many tasks. What does not succeed is left to each of them. */
  static giveBackAll(tasks: readonly RemoteScratch[]): void {
    const lending = tasks.filter((task) =>
      task.#scratch !== undefined && task.#ownsScratch && task.canJoin &&
      task.#alive === undefined
    );
    if (lending.length < 2) return;
    try {
      RemoteScratch.landInMany(lending, true, (callMany) => {
        callMany(
          "munmap",
          lending.map((task) => {
            const { address, size, noted } = task.#scratch as Scratch;
            return {
              task,
              args: [address, size],
              take(result) {
                if (isErrno(result)) return;
                noted?.erase();
                task.#scratch = undefined;
                task.#isPrepared = false;
              },
            };
          }),
        );
      });
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
    }
  }
}
