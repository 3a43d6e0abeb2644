/**
 * Planning how a process tree is born: who makes whom, and when sessions and process groups begin. Pure.
 *
 * A session is inherited at birth and can only be left by becoming a leader, so a child that belongs to
 * its parent's former session must be born before the parent calls setsid(2). A task whose session
 * leader is dead, or is not its parent's, was orphaned and adopted: it is born with the help of a task
 * that exists for this purpose only.
 *
 * @module
 */

/** A task of the tree to build. */
export interface TreeTask {
  readonly pid: number;
  /** 0 for the root. */
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
}

/** One thing that a task does while the tree is born. */
export type BirthAction =
  /** Makes a child, or with `sibling` a child of its own parent. */
  | { readonly kind: "clone"; readonly pid: number; readonly sibling: boolean }
  | { readonly kind: "setsid" }
  /** Joins a group; 0 makes one of its own. */
  | { readonly kind: "setpgid"; readonly pgid: number }
  /** Adopts orphans of its descendants. */
  | { readonly kind: "subreaper"; readonly on: boolean };

/** How a tree is born. */
export interface BirthPlan {
  /** What each task does, in this order of tasks: each is born before it is reached. */
  readonly births: ReadonlyMap<number, readonly BirthAction[]>;
  /** What each task does when all are born: joins its group. */
  readonly groups: ReadonlyMap<number, readonly BirthAction[]>;
  /** Tasks that only help and are gone before the tree runs, with the task that reaps each. */
  readonly helpers: readonly { readonly pid: number; readonly parent: number }[];
  /** What cannot be rebuilt: the task and why. */
  readonly problems: readonly { readonly pid: number; readonly what: string }[];
}

/**
 * Plans the birth of a tree.
 *
 * @param tasks parents before children
 * @param freePid finds a pid for a helper that need not have a certain one
 */
export function planBirths(tasks: readonly TreeTask[], freePid: () => number): BirthPlan {
  const [root] = tasks;
  if (root === undefined) {
    return { births: new Map(), groups: new Map(), helpers: [], problems: [] };
  }
  return new Planner(tasks, root, freePid).plan();
}

class Planner {
  readonly #tasks: ReadonlyMap<number, TreeTask>;
  readonly #children = new Map<number, TreeTask[]>();
  readonly #root: TreeTask;
  readonly #freePid: () => number;
  readonly #births = new Map<number, BirthAction[]>();
  readonly #groups = new Map<number, BirthAction[]>();
  readonly #helpers: { pid: number; parent: number }[] = [];
  readonly #problems: { pid: number; what: string }[] = [];
  /** The session of each task at its birth. */
  readonly #bornIn = new Map<number, number>();

  constructor(tasks: readonly TreeTask[], root: TreeTask, freePid: () => number) {
    this.#tasks = new Map(tasks.map((task) => [task.pid, task]));
    this.#root = root;
    this.#freePid = freePid;
    for (const task of tasks) {
      if (task === root) continue;
      const siblings = this.#children.get(task.ppid);
      if (siblings === undefined) this.#children.set(task.ppid, [task]);
      else siblings.push(task);
    }
  }

  plan(): BirthPlan {
    // The session that the root is born into is the tool's: it stands for the one that was outside.
    const outer = this.#root.sid === this.#root.pid ? -1 : this.#root.sid;
    const queue = [this.#root.pid];
    this.#bornIn.set(this.#root.pid, outer);
    const adopted: { orphan: TreeTask; leader: TreeTask }[] = [];
    for (const pid of queue) {
      for (const child of this.#bear(this.#tasks.get(pid) as TreeTask, adopted)) queue.push(child);
      // Orphans come last: their session's leader must have called setsid by then.
      if (pid === queue.at(-1)) {
        for (const { orphan, leader } of adopted.splice(0)) {
          if (this.#adopt(orphan, leader)) queue.push(orphan.pid);
        }
      }
    }
    for (const task of this.#tasks.values()) this.#joinGroup(task);
    return {
      births: this.#births,
      groups: this.#groups,
      helpers: this.#helpers,
      problems: this.#problems,
    };
  }

  #actions(pid: number): BirthAction[] {
    let actions = this.#births.get(pid);
    if (actions === undefined) this.#births.set(pid, actions = []);
    return actions;
  }

  /** Plans what a task does at its turn. @returns the children that are born by it, or with its help */
  #bear(task: TreeTask, adopted: { orphan: TreeTask; leader: TreeTask }[]): number[] {
    const actions = this.#actions(task.pid);
    const bornIn = this.#bornIn.get(task.pid) as number;
    const leads = task.sid === task.pid;
    const born: number[] = [];
    const children = this.#children.get(task.pid) ?? [];
    const bear = (child: TreeTask, session: number): void => {
      actions.push({ kind: "clone", pid: child.pid, sibling: false });
      this.#bornIn.set(child.pid, session);
      born.push(child.pid);
    };
    // A leader's children of its former session are born before it leaves that one.
    const early = leads ? children.filter((child) => child.sid === bornIn) : [];
    early.forEach((child) => bear(child, bornIn));
    if (leads && bornIn !== task.sid) actions.push({ kind: "setsid" });
    else if (bornIn !== task.sid) {
      this.#problems.push({ pid: task.pid, what: `its session ${task.sid} cannot be entered` });
    }
    const orphans = new Map<number, TreeTask[]>();
    for (const child of children) {
      if (early.includes(child)) continue;
      if (child.sid === child.pid || child.sid === task.sid) bear(child, task.sid);
      else {
        const group = orphans.get(child.sid);
        if (group === undefined) orphans.set(child.sid, [child]);
        else group.push(child);
      }
    }
    for (const [sid, group] of orphans) {
      const leader = this.#tasks.get(sid);
      if (leader === undefined) born.push(...this.#bearInDeadSession(task, sid, group));
      else group.forEach((orphan) => adopted.push({ orphan, leader }));
    }
    if (!leads && task.pgid === task.pid) actions.push({ kind: "setpgid", pgid: 0 });
    return born;
  }

  /** The leader is dead: a helper with its pid leads again, bears the orphans as its siblings, and ends. */
  #bearInDeadSession(parent: TreeTask, sid: number, orphans: readonly TreeTask[]): number[] {
    if (sid === this.#root.sid) {
      for (const { pid } of orphans) {
        this.#problems.push({
          pid,
          what:
            `it belongs to session ${sid}, which is outside of the tree and which its parent left`,
        });
      }
      return [];
    }
    this.#actions(parent.pid).push({ kind: "clone", pid: sid, sibling: false });
    this.#helpers.push({ pid: sid, parent: parent.pid });
    const actions = this.#actions(sid);
    actions.push({ kind: "setsid" });
    for (const { pid } of orphans) {
      actions.push({ kind: "clone", pid, sibling: true });
      this.#bornIn.set(pid, sid);
    }
    return orphans.map(({ pid }) => pid);
  }

  /**
   * The leader lives: a helper, its child, bears the orphan and ends, and the kernel gives the orphan to the
   * nearest ancestor that adopts, which is how it came to its parent in the first place.
   */
  #adopt(orphan: TreeTask, leader: TreeTask): boolean {
    if (!this.#descends(leader, orphan.ppid)) {
      this.#problems.push({
        pid: orphan.pid,
        what: `its session ${orphan.sid} is led by a task that is not below its parent`,
      });
      return false;
    }
    const helper = this.#freePid();
    this.#actions(orphan.ppid).unshift({ kind: "subreaper", on: true });
    const leading = this.#actions(leader.pid);
    leading.push({ kind: "clone", pid: helper, sibling: false });
    this.#actions(helper).push({ kind: "clone", pid: orphan.pid, sibling: false });
    this.#helpers.push({ pid: helper, parent: leader.pid });
    this.#bornIn.set(orphan.pid, orphan.sid);
    return true;
  }

  #descends(task: TreeTask, ancestor: number): boolean {
    for (let at: TreeTask | undefined = task; at !== undefined; at = this.#tasks.get(at.ppid)) {
      if (at.ppid === ancestor) return true;
    }
    return false;
  }

  #joinGroup(task: TreeTask): void {
    const { pid, pgid } = task;
    // A leader of its session or of its group has done it; the outer group is inherited from the tool.
    if (pgid === pid || task.sid === pid) return;
    if (pgid === this.#root.pgid && this.#root.pgid !== this.#root.pid) return;
    if (!this.#tasks.has(pgid) && !this.#helpers.some((helper) => helper.pid === pgid)) {
      // The group's leader is dead: a helper with its pid makes the group again.
      this.#actions(pid).push({ kind: "clone", pid: pgid, sibling: false });
      this.#actions(pgid).push({ kind: "setpgid", pgid: 0 });
      this.#helpers.push({ pid: pgid, parent: pid });
    }
    this.#groups.set(pid, [{ kind: "setpgid", pgid }]);
  }
}
