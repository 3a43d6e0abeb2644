/**
 * The seccomp filters of an image directory, each once, and which thread has which.
 *
 * @module
 */
import { SECCOMP } from "../../images/kinds/seccomp.ts";
import type { core_entry } from "../../images/gen/thread_pb.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { present } from "../../images/present.ts";
import { StasisError } from "../../base/errors.ts";
import { decodeFilter } from "../../plugins/seccomp/bpf.ts";
import {
  type Filter,
  type FilterImage,
  FilterPool,
  readTask,
} from "../../plugins/seccomp/chain.ts";
import { describeFlags, disassemble } from "../../plugins/seccomp/describe.ts";

/** One filter; threads name it by its position. */
export interface FilterInfo {
  /** How many. */
  readonly instructions: number;
  /** `LOG, SPEC_ALLOW`; empty if it has none. */
  readonly flags: string;
  /** Disassembled, one line an instruction. */
  readonly code: readonly string[];
}

/** Seccomp of a thread. */
export interface SeccompInfo {
  readonly seccomp?: "strict" | "filter";
  /** Positions of its filters, the one installed first at the beginning. Threads with equal ones have the same. */
  readonly filters?: readonly number[];
}

/** Gathers the filters of all tasks. */
export class FilterInspector {
  /** All filters so far. */
  readonly filters: FilterInfo[] = [];
  readonly #images: FilterImage[];
  readonly #path: string;
  readonly #pool = new FilterPool();
  readonly #positions = new Map<Filter, number>();

  constructor(images: ImageDirectory) {
    this.#path = images.path;
    const entries = images.has(SECCOMP, null) ? images.read(SECCOMP, null).seccompFilters : [];
    this.#images = entries.map((entry) => ({
      filter: entry.filter,
      flags: present(entry, "flags"),
      prev: present(entry, "prev"),
    }));
  }

  /** What the threads of a task have. @param cores the leader's first */
  task(cores: readonly core_entry[]): SeccompInfo[] {
    const said = cores.map(({ threadCore }) => ({
      seccompMode: present(threadCore, "seccompMode"),
      seccompFilter: present(threadCore, "seccompFilter"),
    }));
    try {
      return readTask(said, this.#images, this.#pool).map((state): SeccompInfo => {
        if (state.mode === "off") return {};
        if (state.mode === "strict") return { seccomp: "strict" };
        return { seccomp: "filter", filters: state.chain.map((one) => this.#position(one)) };
      });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new StasisError("bad-image", `${this.#path}: ${error.message}`);
    }
  }

  #position(filter: Filter): number {
    let position = this.#positions.get(filter);
    if (position === undefined) {
      position = this.filters.length;
      this.#positions.set(filter, position);
      const code = disassemble(decodeFilter(filter.bytes));
      this.filters.push({ instructions: code.length, flags: describeFlags(filter.flags), code });
    }
    return position;
  }
}
