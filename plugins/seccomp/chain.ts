/**
 * Chains of filters, in and out of `seccomp.img`. Pure.
 *
 * The image is CRIU's: a list of filters, each with the position of another one (`prev`). A thread's core names
 * the filter that was installed **first**, and `prev` leads on to the one that was installed next (CRIU walks
 * it so at restore, installing as it goes). So chains can share their newest filters in the image, not the
 * oldest, which is what inheritance makes them share: a chain that has grown is there as a whole once more.
 *
 * Where all threads of a task have the same chain CRIU gives it the flag TSYNC and names it in the leader's
 * core alone, since its restore then gives it to all threads. That is done here as well.
 *
 * @module
 */
import { INSTRUCTION_SIZE } from "./bpf.ts";

/** SECCOMP_FILTER_FLAG_* of seccomp(2) (`include/uapi/linux/seccomp.h`). */
export const FILTER_FLAG = {
  TSYNC: 1,
  LOG: 2,
  SPEC_ALLOW: 4,
  NEW_LISTENER: 8,
  TSYNC_ESRCH: 16,
  WAIT_KILLABLE_RECV: 32,
} as const;

/** Values of `seccomp_mode` in a core, those of `Seccomp:` in /proc/PID/status. */
export const SECCOMP_MODE = { OFF: 0, STRICT: 1, FILTER: 2 } as const;

/** One filter. Those of one {@link FilterPool} are the same object if they are equal. */
export interface Filter {
  /** Its instructions. */
  readonly bytes: Uint8Array;
  /** Bits of {@link FILTER_FLAG}. */
  readonly flags: number;
}

/** The filters of a thread, the oldest first. */
export type Chain = readonly Filter[];

/** What a thread has. */
export type ThreadSeccomp =
  | { readonly mode: "off" }
  | { readonly mode: "strict" }
  | { readonly mode: "filter"; readonly chain: Chain };

/** A filter as `seccomp.img` has it. */
export interface FilterImage {
  readonly filter: Uint8Array;
  readonly prev?: number;
  readonly flags?: number;
}

/** What a thread's core says. */
export interface CoreSeccomp {
  readonly seccompMode?: number;
  readonly seccompFilter?: number;
}

/** Keeps each filter once, so that equal ones can be told by identity. */
export class FilterPool {
  readonly #known = new Map<string, Filter[]>();

  /** The one filter that equals this; its bytes are copied when it is new. */
  intern(bytes: Uint8Array, flags: number): Filter {
    const key = `${flags} ${bytes.length} ${hashOf(bytes)}`;
    const alike = this.#known.get(key) ?? [];
    const found = alike.find((one) => isEqual(one.bytes, bytes));
    if (found !== undefined) return found;
    const fresh: Filter = { bytes: bytes.slice(), flags };
    this.#known.set(key, [...alike, fresh]);
    return fresh;
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) {
    if (a[at] !== b[at]) return false;
  }
  return true;
}

/** Of a part of the bytes: equal filters come by thousands, different ones of one length are few. */
function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < bytes.length; at += at < 256 ? 1 : 251) {
    hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  }
  return hash >>> 0;
}

/** Whether two chains have the same filters (of one pool). */
export function sameChain(a: Chain, b: Chain): boolean {
  return a.length === b.length && a.every((filter, index) => filter === b[index]);
}

/** The filters that all chains begin with. */
export function commonStart(chains: readonly Chain[]): Chain {
  const [first = [], ...others] = chains;
  let length = first.length;
  for (const chain of others) {
    let same = 0;
    while (same < Math.min(length, chain.length) && chain[same] === first[same]) same++;
    length = same;
  }
  return first.slice(0, length);
}

/** Puts `seccomp.img` together. */
export class ChainWriter {
  /** The filters so far. */
  readonly filters: FilterImage[] = [];
  readonly #positions = new Map<string, number>();
  readonly #ids = new Map<Filter, number>();

  /**
   * What the cores of a task's threads say.
   *
   * @param threads what each has, the leader first
   */
  addTask(threads: readonly ThreadSeccomp[]): CoreSeccomp[] {
    const [leader] = threads;
    const synchronised = leader?.mode === "filter" &&
      threads.every((one) => one.mode === "filter" && sameChain(one.chain, leader.chain));
    return threads.map((one, index): CoreSeccomp => {
      if (one.mode === "off" || (synchronised && index > 0)) return {};
      if (one.mode === "strict") return { seccompMode: SECCOMP_MODE.STRICT };
      return {
        seccompMode: SECCOMP_MODE.FILTER,
        seccompFilter: this.#add(one.chain, synchronised ? FILTER_FLAG.TSYNC : 0),
      };
    });
  }

  /** @returns the position of the oldest filter */
  #add(chain: Chain, extraFlags: number): number {
    let prev: number | undefined;
    for (const filter of chain.toReversed()) {
      const flags = filter.flags | extraFlags;
      let id = this.#ids.get(filter);
      if (id === undefined) this.#ids.set(filter, id = this.#ids.size);
      const key = `${id} ${flags} ${prev}`;
      let position = this.#positions.get(key);
      if (position === undefined) {
        position = this.filters.length;
        this.#positions.set(key, position);
        const linked = prev === undefined ? {} : { prev };
        this.filters.push({ filter: filter.bytes, flags, ...linked });
      }
      prev = position;
    }
    // A chain has one filter at least.
    return prev as number;
  }
}

/** BPF_MAXINSNS (`include/uapi/linux/bpf_common.h`). */
const MAX_INSTRUCTIONS = 4096;

/**
 * What the threads of a task have by its images.
 *
 * @param cores what the core of each thread says, the leader first
 * @param filters `seccomp.img`
 * @param pool makes equal filters the same
 * @throws {RangeError} where the images make no sense; the message is half a sentence
 */
export function readTask(
  cores: readonly CoreSeccomp[],
  filters: readonly FilterImage[],
  pool: FilterPool,
): ThreadSeccomp[] {
  const threads = cores.map(({ seccompMode, seccompFilter }): ThreadSeccomp => {
    switch (seccompMode ?? SECCOMP_MODE.OFF) {
      case SECCOMP_MODE.OFF:
        return { mode: "off" };
      case SECCOMP_MODE.STRICT:
        return { mode: "strict" };
      case SECCOMP_MODE.FILTER:
        return { mode: "filter", chain: readChain(seccompFilter, filters, pool) };
      default:
        throw new RangeError(`mode ${seccompMode} is none that seccomp has`);
    }
  });
  // Filters that the leader has with TSYNC are those of all threads, also if their cores do not say so.
  const [leader] = threads;
  if (leader?.mode !== "filter" || !isSynchronised(cores[0]?.seccompFilter, filters)) {
    return threads;
  }
  return threads.map((one) => one.mode === "off" ? leader : one);
}

function isSynchronised(first: number | undefined, filters: readonly FilterImage[]): boolean {
  return ((filters[first ?? 0]?.flags ?? 0) & FILTER_FLAG.TSYNC) !== 0;
}

function readChain(
  first: number | undefined,
  filters: readonly FilterImage[],
  pool: FilterPool,
): Chain {
  const chain: Filter[] = [];
  for (let at = first ?? 0, more = true; more;) {
    const image = filters[at];
    if (image === undefined) throw new RangeError(`there is no filter ${at} in seccomp.img`);
    if (chain.length > filters.length) throw new RangeError(`filter ${at} follows itself`);
    const count = image.filter.length / INSTRUCTION_SIZE;
    if (!Number.isInteger(count) || count < 1 || count > MAX_INSTRUCTIONS) {
      throw new RangeError(`filter ${at} in seccomp.img has ${image.filter.length} bytes`);
    }
    chain.push(pool.intern(image.filter, (image.flags ?? 0) & ~FILTER_FLAG.TSYNC));
    more = image.prev !== undefined;
    at = image.prev ?? at;
  }
  return chain;
}
