/**
 * The ids of open file descriptions in the images, by the descriptors that lead to them.
 *
 * @module
 */
import type { Descriptor } from "./task.ts";

const known = new WeakMap<object, Map<Descriptor, number>>();

/**
 * The ids of one operation, complete when all descriptors have been saved: whoever asks for the same `operation` object
 * gets the same.
 */
export function descriptorIds(operation: object): Map<Descriptor, number> {
  let ids = known.get(operation);
  if (ids === undefined) known.set(operation, ids = new Map());
  return ids;
}

/** Forgets them, when nobody will ask any more: descriptors lead to much. */
export function forgetDescriptorIds(operation: object): void {
  known.delete(operation);
}
