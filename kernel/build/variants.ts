// SPDX-License-Identifier: MIT
/**
 * The test kernels, and in what they differ.
 *
 * @module
 */

import type { Source } from "./series.ts";

/** A test kernel: without the series, with it, and with it where checkpoint/restore is off. */
export type Variant = "plain" | "series" | "no-cr";

/** What a kernel is made of. */
export interface Ingredients {
  readonly source: Source;
  /** Lines that its configuration has on top of `kernel/vm.config`. */
  readonly config: string;
  /** The directory of its objects; those that share one rebuild only what differs. */
  readonly objects: string;
}

/** Soft-dirty tracking depends on CONFIG_CHECKPOINT_RESTORE, so it goes as well. */
const WITHOUT_RESTORE =
  "# CONFIG_CHECKPOINT_RESTORE is not set\n# CONFIG_MEM_SOFT_DIRTY is not set\n";

/** All kernels, in the order of building. */
export const INGREDIENTS: Readonly<Record<Variant, Ingredients>> = {
  plain: { source: "plain", config: "", objects: "objects" },
  series: { source: "series", config: "", objects: "objects" },
  // Most files depend on one of the two options, so sharing objects would only rebuild them twice.
  "no-cr": { source: "series", config: WITHOUT_RESTORE, objects: "objects-no-cr" },
};

/** Their names, in the order of building. */
export const VARIANTS = Object.keys(INGREDIENTS) as readonly Variant[];
