/**
 * Random choices that a seed decides: the same seed gives the same cases everywhere.
 *
 * @module
 */
import { Mulberry32 } from "../harness/mulberry32.ts";

/** A source of random choices. */
export class Random extends Mulberry32 {
  /** An integer from 0 up to, but not including, `end`. */
  below(end: number): number {
    return this.bits() % end;
  }

  /** Whether something that happens once in `times` happens. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  /** One of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}
