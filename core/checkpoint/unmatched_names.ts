/**
 * Names of the user (`--external`, `--dead-end`) that name nothing that a tree has: slips, of which nobody hears if what
 * they mean is saved in another way, or was refused in another look for another reason.
 *
 * @module
 */
import { readQueues, readSegments, readSemaphores, unlessGone } from "../linux/procfs/mod.ts";
import type { OperationOptions } from "../plugin.ts";
import { isDeadEnd, isNamedExternal } from "./outside_holders.ts";
import { SYSV_KINDS, sysvExternal, type SysvKind } from "./sysv_owners.ts";
import type { Descriptor, Task } from "./task.ts";

const LISTS = { shm: readSegments, sem: readSemaphores, msg: readQueues } as const;

/** A name that names nothing. */
export interface UnmatchedName {
  /** As it was given: `--external pipe:[5]`. */
  readonly given: string;
  readonly hint: string;
}

/** Finds the names that match nothing. @param tasks of a tree, zombies included */
export function unmatchedNames(
  { external = [], deadEnds = [] }: OperationOptions,
  tasks: readonly Task[],
): UnmatchedName[] {
  if (external.length === 0 && deadEnds.length === 0) return [];
  const descriptors = tasks.flatMap((task) =>
    task.isZombie ? [] : unlessGone(() => [...task.descriptors], [])
  );
  const hint = "names are those that ls -l /proc/PID/fd shows, as pipe:[123], or fd[N]";
  const unmatched = (
    option: string,
    names: readonly string[],
    matches: (name: string, descriptor: Descriptor) => boolean,
  ): UnmatchedName[] =>
    names.filter((name) => !descriptors.some((one) => matches(name, one)))
      .map((name) => ({ given: `${option} ${name}`, hint }));
  return [
    ...unmatched(
      "--external",
      external.filter((name) => !isSysv(name)),
      (name, descriptor) => isNamedExternal({ external: [name] }, descriptor),
    ),
    ...external.filter((name) => isSysv(name) && !existsSysv(name)).map((name) => ({
      given: `--external ${name}`,
      hint: "ids are those that ipcs shows",
    })),
    ...unmatched(
      "--dead-end",
      deadEnds,
      (name, descriptor) => isDeadEnd({ deadEnds: [name] }, descriptor, true),
    ),
  ];
}

function kindOf(name: string): SysvKind | undefined {
  return (Object.keys(SYSV_KINDS) as SysvKind[]).find((kind) => name.startsWith(`${kind}[`));
}

function isSysv(name: string): boolean {
  return kindOf(name) !== undefined;
}

function existsSysv(name: string): boolean {
  const kind = kindOf(name) as SysvKind;
  return LISTS[kind]().some(({ id }) => sysvExternal(kind, id) === name);
}
