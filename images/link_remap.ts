/**
 * The names of files that a checkpoint makes (CRIU's `--link-remap`): `link_remap.N-R` beside the name that was deleted,
 * where N is the entry's id as in CRIU's and R is at random: ids are small, so that the next checkpoint would make the same
 * name of another file.
 *
 * @module
 */
import { lastName } from "./path.ts";

/** A name. @param random 64 bits, another 64 wherever the name is taken */
export function linkRemapName(id: number, random: bigint): string {
  return `link_remap.${id}-${random.toString(16).padStart(16, "0")}`;
}

/** Whether a path is such a name, CRIU's too, which a restore may take away: nothing else that images name is ever deleted. */
export function isLinkRemap(path: string): boolean {
  return path.startsWith("/") && /^link_remap\.\d+(-[\da-f]+)?$/.test(lastName(path));
}
