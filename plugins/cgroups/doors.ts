/**
 * The ways into groups while a tree is built: descriptors of their lists of tasks, which the seed opens when all
 * groups are there, and by which each task and thread puts itself in.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import type { TreePlanner } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { Destination } from "./destinations.ts";
import { describeGroup } from "../../core/linux/cgroup/group_path.ts";

/** Says why a call about a group failed; the errno tells of a change since the plan was made, mostly. */
export function explainGroup(
  what: string,
  { hierarchy, path }: Pick<Destination, "hierarchy" | "path">,
  pid?: number,
): (errno: string) => StasisError {
  return (errno) =>
    new StasisError(
      "conflict",
      `the control group ${describeGroup(hierarchy, path)} ${what}: ${errno}`,
      {
        pid,
        errno,
        hint: "it has changed meanwhile, or has a limit: restore once more, or say " +
          "--manage-cgroups=ignore",
      },
    );
}

/** The descriptors, each of which is opened once. */
export class Doors {
  readonly #tree: TreePlanner;
  readonly #numbers = new Map<string, number>();

  constructor(tree: TreePlanner) {
    this.#tree = tree;
  }

  /** Adds the call by which a process with all its threads gets into a group. */
  enterProcess(program: SyscallProgram, destination: Destination, pid?: number): void {
    this.#enter(program, "cgroup.procs", destination, pid);
  }

  /** Adds the call by which a thread alone gets into a group. */
  enterThread(program: SyscallProgram, destination: Destination, pid?: number): void {
    const file = destination.hierarchy === "" ? "cgroup.threads" : "tasks";
    this.#enter(program, file, destination, pid);
  }

  #enter(program: SyscallProgram, file: string, destination: Destination, pid?: number): void {
    const number = this.#open(file, destination);
    // Whoever writes 0 means itself.
    program.explained(
      explainGroup(
        pid === undefined ? "cannot be entered" : `cannot be entered by task ${pid}`,
        destination,
        pid,
      ),
      "write",
      number,
      "0",
      1,
    );
  }

  #open(file: string, destination: Destination): number {
    const path = `${destination.directory}/${file}`;
    let number = this.#numbers.get(path);
    if (number !== undefined) return number;
    const { seed } = this.#tree;
    const fd = seed.explained(
      explainGroup("cannot be entered", destination),
      "openat",
      AT_FDCWD,
      path,
      O.WRONLY | O.CLOEXEC,
      0,
    );
    number = this.#tree.service();
    this.#tree.keep(fd, number);
    this.#numbers.set(path, number);
    return number;
  }
}
