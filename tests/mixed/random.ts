/**
 * Random choices that are the same for the same seed, on every machine.
 *
 * @module
 */
import { Mulberry32 } from "../harness/mulberry32.ts";

/** A stream of random choices. */
export class Random extends Mulberry32 {
  /** A number from 0 up to 1, which it never is. */
  next(): number {
    return this.bits() / 2 ** 32;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** True that often. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of the items, of which there must be one at least. */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("nothing to choose from");
    return items[Math.floor(this.next() * items.length)]!;
  }

  /** One of the items, by weight. */
  weighted<T>(items: readonly T[], weight: (item: T) => number): T {
    let left = this.next() * items.reduce((sum, item) => sum + weight(item), 0);
    for (const item of items) {
      left -= weight(item);
      if (left < 0) return item;
    }
    return items.at(-1)!;
  }

  /** Each of the items with that probability, in their order. */
  some<T>(items: readonly T[], probability: number): T[] {
    return items.filter(() => this.chance(probability));
  }
}
