/**
 * When timers expire.
 *
 * @module
 */

import type { Random } from "../random.ts";

/** Times of a timer: one that is far off, or one that comes again and again. */
export function times(random: Random): string[] {
  if (random.chance(0.5)) return [`once=${random.pick([1_000_000, 2_000_000, 4_000_000_000])}`];
  const every = random.pick([20, 50, 200, 1_000_000]);
  return [`once=${random.pick([every, 30])}`, `every=${every}`];
}
