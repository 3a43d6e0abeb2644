/**
 * What a task of a tree has with others (a descriptor table, directories, memory, handlers), and what of that it is
 * born with. Pure.
 *
 * @module
 */

/** What of a task others may have, too. */
export interface Ownership {
  /** The first task with the same descriptor table; absent for its own. */
  readonly filesOwner?: number;
  /** The first task with the same working directory, root and umask; absent for its own. */
  readonly fsOwner?: number;
  /** The first task with the same memory; absent for its own. */
  readonly memoryOwner?: number;
  /** The first task with the same signal handlers, which has the same memory, too; absent for its own. */
  readonly handlersOwner?: number;
}

/** What a task is born with: the very table, directories, memory or handlers of the one that makes it, or a copy. */
export interface SharedAtBirth {
  readonly files: boolean;
  readonly fs: boolean;
  readonly memory: boolean;
  readonly handlers: boolean;
}

/** By what is shared: which field of a task names the first one that has it. */
export const OWNERS = {
  files: "filesOwner",
  fs: "fsOwner",
  memory: "memoryOwner",
  handlers: "handlersOwner",
} as const;

/** What it is called. */
export const SHARED_WORDS = {
  filesOwner: "descriptor table",
  fsOwner: "working directory",
  memoryOwner: "memory",
  handlersOwner: "handlers",
} as const;

/** What a task has with others, by {@link OWNERS}. */
export const OWNER_KEYS = Object.values(OWNERS);
/** One of them. */
export type OwnerKey = typeof OWNER_KEYS[number];

/**
 * What a task shares at its birth. Helpers share everything that is shared anywhere: they only hand on what their maker
 * has.
 *
 * @param births the task with whose things each is born, and whether helpers share memory: `BirthPlan`
 * @param ownersOf what a task of the tree shares with whom in the end; undefined for a helper
 */
export function sharedAtBirth(
  pid: number,
  { makers, sharesMemory }: {
    readonly makers: ReadonlyMap<number, number>;
    readonly sharesMemory: boolean;
  },
  ownersOf: (pid: number) => Ownership | undefined,
): SharedAtBirth {
  const own = ownersOf(pid);
  if (own === undefined) {
    return { files: true, fs: true, memory: sharesMemory, handlers: sharesMemory };
  }
  const maker = makers.get(pid);
  const theirs = maker === undefined ? undefined : ownersOf(maker) ?? {};
  const shares = (key: OwnerKey) =>
    theirs !== undefined && (own[key] ?? pid) === (theirs[key] ?? maker);
  return {
    files: shares(OWNERS.files),
    fs: shares(OWNERS.fs),
    memory: shares(OWNERS.memory),
    handlers: shares(OWNERS.handlers),
  };
}
