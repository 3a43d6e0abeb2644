/**
 * Groups that the user names in place of others (`--cgroup-root`). Pure.
 *
 * @module
 */
import type { CgroupRoot } from "../../core/plugin.ts";

/**
 * The group that the user names for a hierarchy: one for any of its controllers before one for all hierarchies, and
 * of several the last.
 *
 * @param hierarchy its controllers with commas between them; empty for cgroup v2
 */
export function rootFor(
  roots: readonly CgroupRoot[] | undefined,
  hierarchy: string,
): string | undefined {
  const controllers = hierarchy.split(",");
  const own = roots?.findLast(({ controller }) =>
    controller !== undefined && (controller === hierarchy || controllers.includes(controller))
  );
  return (own ?? roots?.findLast(({ controller }) => controller === undefined))?.path;
}
