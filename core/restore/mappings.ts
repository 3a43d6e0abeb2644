/**
 * Claims on mappings at restore: for each exactly one plugin must say that it restores it.
 *
 * @module
 */
import type { mm_entry, vma_entry } from "../../images/gen/memory_pb.ts";
import { StasisError } from "../../base/errors.ts";
import { type Hooked, Offers } from "../hooks.ts";
import type { MappingPlanner, RestoreHooks } from "../plugin.ts";

const PLANNERS = new Offers<RestoreHooks, MappingPlanner>((hooks) => hooks.mappings);

/** The one planner that restores a mapping. @throws {StasisError} `unsupported` if none does, or two do */
export function mappingPlanner(
  vma: vma_entry,
  mm: mm_entry,
  plugins: readonly Hooked<RestoreHooks>[],
): MappingPlanner {
  const found = PLANNERS.ask(plugins, (planner) => planner.restores(vma, mm));
  const [first, second] = found;
  if (first !== undefined && second === undefined) return first.offered;
  const who = found.map(({ plugin }) => plugin.name).join(" and ") || "no plugin";
  throw new StasisError(
    "unsupported",
    `mapping ${vma.start.toString(16)}-${vma.end.toString(16)} (status 0x${
      vma.status.toString(16)
    }) is restored by ${who}`,
    {
      hint: first === undefined
        ? "name the plugin that saved it with --plugin"
        : "leave one of the plugins out",
    },
  );
}
