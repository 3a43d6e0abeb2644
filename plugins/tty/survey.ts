/**
 * What of a tree's terminals cannot be saved.
 *
 * @module
 */
import type { OutsideHolders } from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { slaveIndex, terminalOf, type TreeTerminals } from "../../core/checkpoint/terminals.ts";
import { nameOf } from "../../core/linux/procfs/mod.ts";
import { statPath } from "../../core/linux/files.ts";
import type { Problem } from "../../base/errors.ts";
import { slaveHolder } from "./holders.ts";
import { slavePath } from "./slave_path.ts";

type Finding = Omit<Problem, "plugin" | "pid">;

/**
 * Why a terminal of the tree cannot be saved.
 *
 * @param masters of whom outside has one, by its index
 */
export function terminalProblem(
  descriptor: Descriptor,
  holders: OutsideHolders,
  masters: ReadonlyMap<number, number>,
): Finding | undefined {
  const terminal = terminalOf(descriptor);
  if (terminal?.kind === "master") {
    return masterProblem(descriptor, terminal.index, holders, masters.get(terminal.index));
  }
  if (terminal?.kind === "slave" && !descriptor.link.deleted) return mountProblem(descriptor);
  return undefined;
}

function masterProblem(
  { fd }: Descriptor,
  index: number,
  holders: OutsideHolders,
  other: number | undefined,
): Finding | undefined {
  const what = `its descriptor ${fd} is the master of a pseudoterminal`;
  if (index < 0) {
    return {
      what: `${what}, and this kernel does not tell of which`,
      hint: "use Linux 4.14 or later",
    };
  }
  if (other !== undefined) {
    return {
      what: `${what}, ${slavePath(index)}, and ${nameOf(other)} outside of the tree has it too`,
      hint: "checkpoint a tree that both belong to, or end that task",
    };
  }
  const holder = slaveHolder(holders, index);
  if (holder === undefined) return undefined;
  return {
    what: `${what} whose slave, ${slavePath(index)}, ${
      nameOf(holder)
    } outside of the tree has open`,
    hint: "checkpoint a tree that both belong to, or end that task",
  };
}

/** There may be several file systems of ptys; which of them an index belongs to only their mounts tell. */
function mountProblem({ fd, identity, link }: Descriptor): Finding | undefined {
  const here = deviceOf("/dev/pts");
  if (here === identity.dev) return undefined;
  return {
    what:
      `its descriptor ${fd} is ${link.text} of another file system of pseudoterminals than this tool's`,
    hint: "run the tool in the same mount namespace as the program",
  };
}

/** The device of a file system; undefined where there is none. */
export function deviceOf(path: string): number | undefined {
  try {
    return statPath(path).dev;
  } catch {
    return undefined;
  }
}

/** Why a session of the tree cannot have its controlling terminal again: whoever has the master is not of the tree. */
export function sessionProblem(
  { pid, stat }: Task,
  terminals: TreeTerminals,
  masters: ReadonlyMap<number, number>,
): Finding | undefined {
  if (stat.session !== pid || stat.ttyNr === 0 || terminals.lines.has(stat.ttyNr)) return undefined;
  const index = slaveIndex(stat.ttyNr);
  if (index !== undefined && terminals.masters.has(index)) return undefined;
  const holder = index === undefined ? undefined : masters.get(index);
  const name = index === undefined ? "a terminal" : slavePath(index);
  const whose = holder === undefined
    ? "which belongs to others"
    : `whose master ${nameOf(holder)} has, outside of the tree`;
  const together = holder === undefined ? "" : `checkpoint the tree of task ${holder}, or `;
  return {
    what: `${name} is the controlling terminal of its session, ${whose}`,
    hint: `${together}checkpoint a program that was started in that session instead of its leader`,
  };
}
