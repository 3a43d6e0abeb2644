/**
 * Tells what is written to in the memory of one task while it runs, before it is saved.
 *
 * A page that is not told of was not written to since it was protected, as far as writes go through the page tables of
 * the task: all of the program's own and those that the kernel makes for it. What goes past them are pages that the
 * kernel had pinned before they were protected, to have a device or another process fill them (pin_user_pages(9) with
 * FOLL_WRITE: O_DIRECT, requests of FUSE, process_vm_writev(2)). So whoever relies on it lets no such call be under way
 * from after the protection on ({@link CopyAhead.settleCalls}), and watches no task whose memory is pinned for longer.
 *
 * What is registered stays so for as long as it is the same mapping: what is mapped, moved (mremap(2) leaves the
 * registration behind), inherited or made by execve(2) meanwhile is not registered with this userfaultfd. So at the
 * freeze the flags of a mapping tell whether it is the one that was watched.
 *
 * @module
 */
import type { OpenPagemap } from "../linux/open_pagemap.ts";
import {
  type AddressRange,
  type Mapping,
  scanWritten,
  type Vma,
  type WrittenScan,
} from "../linux/procfs/mod.ts";
import type { WriteTracker } from "../linux/userfaultfd.ts";
import { protectAnew } from "./begin_tracking.ts";
import { cutRanges } from "./ranges.ts";
import { isAnonymous, isKept, isWriteProtected } from "./trackable.ts";

/** What was found of some ranges. */
export interface Watched {
  /** What is watched still; ascending. */
  readonly watched: readonly AddressRange[];
  /** What of it may have been written to; ascending. */
  readonly written: readonly AddressRange[];
}

/** Of one task; disposing of it gives everything back. */
export class WriteWatch implements AsyncDisposable {
  readonly #tracker: WriteTracker;
  readonly #pagemap: OpenPagemap;
  #registered: readonly AddressRange[] = [];
  #giving: Promise<void> | undefined;

  /** @param pagemap of the memory whose writes the tracker tells; both are disposed of with this */
  constructor(tracker: WriteTracker, pagemap: OpenPagemap) {
    this.#tracker = tracker;
    this.#pagemap = pagemap;
  }

  /**
   * Registers what there is of anonymous memory, in a task that stands still, where some was before: whole mappings
   * alone. A part of one would make two of it, and mremap(2) of both fails.
   *
   * @param wanted as it was before, ascending
   * @param mappings as they are, ascending
   */
  register(wanted: readonly AddressRange[], mappings: readonly Mapping[]): void {
    this.#registered = mappings.filter((mapping) =>
      isAnonymous(mapping) && cutRanges([mapping], wanted).length > 0 &&
      this.#tracker.register(mapping)
    );
  }

  /** Watches what is registered from now on. @returns that of it for which that can be; ascending */
  begin(): readonly AddressRange[] {
    return this.#registered.filter((range) => protectAnew(this.#tracker, this.#pagemap, range));
  }

  /** Finds out what of some ranges was written to since they were protected last. @param ranges ascending */
  find(ranges: readonly AddressRange[], scan: WrittenScan): Watched {
    const watched: AddressRange[] = [];
    const written: AddressRange[] = [];
    for (const range of ranges) {
      const found = scanWritten(this.#pagemap, range, scan);
      if (found === undefined) continue;
      watched.push(range);
      for (const one of found) written.push(one);
    }
    return { watched, written };
  }

  /**
   * The same of a task that stands still, whose mappings tell what is the same memory still.
   *
   * @param vmas its mappings now, ascending
   */
  findFrozen(ranges: readonly AddressRange[], vmas: readonly Vma[]): Watched {
    const same = vmas.filter((vma) =>
      isAnonymous(vma) && isWriteProtected(vma) && isKept(vma) && this.#tracker.register(vma)
    );
    return this.find(cutRanges(ranges, same), "look");
  }

  /** Begins to give back what is protected, without the task having to wait. */
  beginGivingBack(): void {
    this.#giving ??= this.#tracker.giveBack(this.#registered);
  }

  /** Ends when all is given back. */
  async [Symbol.asyncDispose](): Promise<void> {
    using _tracker = this.#tracker;
    using _pagemap = this.#pagemap;
    await this.#giving;
  }
}
