/**
 * The names of files that a checkpoint makes (CRIU's `--link-remap`): `link_remap.N` beside the name that was deleted.
 *
 * @module
 */
import { lastName } from "./path.ts";

/** A name. @param attempt 0, and one more wherever the last one is taken */
export function linkRemapName(id: number, attempt: number): string {
  return `link_remap.${id}${attempt === 0 ? "" : `-${attempt}`}`;
}

/** Whether a path is such a name, which a restore may take away: nothing else that images name is ever deleted. */
export function isLinkRemap(path: string): boolean {
  return path.startsWith("/") && /^link_remap\.\d+(-\d+)?$/.test(lastName(path));
}
