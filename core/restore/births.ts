/**
 * Planning how a process tree is born: who makes whom, and when sessions and process groups begin. Pure.
 *
 * A session is inherited at birth and can only be left by becoming a leader, so a child that belongs to
 * its parent's former session must be born before the parent calls setsid(2). A descriptor table, a working
 * directory, memory or signal handlers that tasks share are inherited at birth too (CLONE_FILES, CLONE_FS, CLONE_VM,
 * CLONE_SIGHAND). A task that cannot have inherited all of that from its parent was orphaned and adopted, or its parent has left what it shared since.
 * It is born with the help of a task that exists for this purpose only:
 *
 * - The leader of its session is dead: a helper with the leader's pid leads again, and bears it as its sibling.
 *   So is a leader whose own children belong to that session, where those of others do, too.
 * - Somebody else below its parent has what it needs: a helper, that one's child, bears it and ends, and the
 *   kernel gives it to the nearest ancestor that adopts, which is its parent for this moment.
 *
 * Process groups are joined when all are born. A group whose leader is dead, or has moved to another one, is
 * made by a helper with the leader's pid, or kept by one meanwhile.
 *
 * @module
 */
import {
  OWNER_KEYS,
  type OwnerKey,
  OWNERS,
  type Ownership,
  SHARED_WORDS,
} from "./shared_at_birth.ts";

/** A task of the tree to build. */
export interface TreeTask extends Ownership {
  readonly pid: number;
  /** 0 for the root. */
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  /** Whether it has ended, and waits for its parent to reap it. */
  readonly dead?: boolean;
  /** The signal that tells its parent of its end, 0 for none; absent for SIGCHLD. */
  readonly exitSignal?: number;
}

/** One thing that a task does while the tree is born. */
export type BirthAction =
  /** Makes a child, or with `sibling` a child of its own parent; whose end is told by SIGCHLD if nothing else is said. */
  | {
    readonly kind: "clone";
    readonly pid: number;
    readonly sibling: boolean;
    readonly exitSignal?: number;
  }
  | { readonly kind: "setsid" }
  /** Joins a group; 0 makes one of its own. */
  | { readonly kind: "setpgid"; readonly pgid: number }
  /** Joins the group in which another task is. */
  | { readonly kind: "follow"; readonly pid: number };

/** A task that only helps, and is gone before the tree runs. */
export interface Helper {
  readonly pid: number;
  /** The task, or helper, that reaps it. */
  readonly parent: number;
  /** The task that adopts what it has borne, when it ends. */
  readonly adopter?: number;
  /** Whether it must have this very pid: it stands for a leader that is dead. */
  readonly leads: boolean;
}

/** How a tree is born. */
export interface BirthPlan {
  /** What each task does, in this order of tasks: each is born before it is reached. */
  readonly births: ReadonlyMap<number, readonly BirthAction[]>;
  /** What each task does when all are born, in this order: makes its group, or joins it. */
  readonly groups: readonly (readonly [pid: number, action: BirthAction])[];
  /** Those that help, in the order in which they end. */
  readonly helpers: readonly Helper[];
  /** The signals other than SIGCHLD that the ends of zombies queue, and in whom. */
  readonly told: readonly { readonly pid: number; readonly signal: number }[];
  /** The task whose descriptor table, directories, memory and handlers each is born with. The root's are the seed's. */
  readonly makers: ReadonlyMap<number, number>;
  /** Whether any tasks share memory: then those that help share that of their makers, to hand it on. */
  readonly sharesMemory: boolean;
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
    return {
      births: new Map(),
      groups: [],
      helpers: [],
      told: [],
      makers: new Map(),
      sharesMemory: false,
      problems: [],
    };
  }
  return new Planner(tasks, root, freePid).plan();
}

class Planner {
  readonly #tasks: ReadonlyMap<number, TreeTask>;
  readonly #children: ReadonlyMap<number, readonly TreeTask[]>;
  readonly #root: TreeTask;
  readonly #freePid: () => number;
  readonly #births = new Map<number, BirthAction[]>();
  readonly #groups: [number, BirthAction][] = [];
  /** Those that bear and end at once, and those that lead or keep a group until all are there. */
  readonly #bearers: Helper[] = [];
  readonly #leaders = new Map<number, Helper>();
  readonly #keepers: Helper[] = [];
  /** One that stays in the group of the tool. */
  #anchor: number | undefined;
  readonly #makers = new Map<number, number>();
  readonly #problems: { pid: number; what: string }[] = [];
  /** The session of each task at its birth. */
  readonly #bornIn = new Map<number, number>();
  /** The sessions in one of which a task should be born, for its own sake or for its children's. */
  readonly #wanted: ReadonlyMap<number, ReadonlySet<number>>;
  /** The tasks of other sessions that have children in a session. */
  readonly #wanters: ReadonlyMap<number, ReadonlySet<number>>;
  readonly #inSession: ReadonlyMap<number, readonly TreeTask[]>;
  /** By the first task that has a table, a directory, memory or handlers those that share it. */
  readonly #sharers = new Map<number, TreeTask[]>();

  constructor(tasks: readonly TreeTask[], root: TreeTask, freePid: () => number) {
    this.#tasks = new Map(tasks.map((task) => [task.pid, task]));
    this.#root = root;
    this.#freePid = freePid;
    this.#children = Map.groupBy(tasks.slice(1), ({ ppid }) => ppid);
    this.#wanted = this.#findWanted(tasks);
    this.#inSession = Map.groupBy(tasks, ({ sid }) => sid);
    this.#wanters = this.#findWanters(tasks);
    for (const task of tasks) {
      for (const owner of new Set(OWNER_KEYS.map((key) => task[key] ?? task.pid))) {
        const sharers = this.#sharers.get(owner);
        if (sharers === undefined) this.#sharers.set(owner, [task]);
        else sharers.push(task);
      }
    }
  }

  plan(): BirthPlan {
    const root = this.#root;
    if (root.sid !== root.pid && this.#tasks.has(root.sid)) {
      this.#refuse(root, `its session is led by its descendant ${root.sid}`);
    }
    this.#bornIn.set(root.pid, root.sid === root.pid ? TOOLS_SESSION : root.sid);
    const queue = [root];
    let waiting: TreeTask[] = [];
    for (const task of queue) {
      waiting.push(...this.#bear(task, queue));
      // Those that need help come last: whoever has what they need must have been born by then.
      while (task === queue.at(-1) && waiting.length > 0) {
        const before = waiting.length;
        waiting = this.#help(waiting, queue);
        if (waiting.length === before) break;
      }
    }
    for (const task of waiting) this.#refuse(task, this.#whyNot(task));
    for (const task of this.#tasks.values()) {
      const { pid, handlersOwner = pid, memoryOwner = pid } = task;
      const { memoryOwner: theirs = handlersOwner } = this.#tasks.get(handlersOwner) ?? {};
      if (handlersOwner === pid || memoryOwner === theirs) continue;
      this.#refuse(
        task,
        `it shares its handlers with process ${handlersOwner}, but not its memory`,
      );
    }
    this.#planGroups();
    return {
      births: this.#births,
      groups: this.#groups,
      helpers: [...this.#bearers, ...this.#keepers, ...this.#leaders.values()],
      told: [...this.#tasks.values()].flatMap(({ dead, ppid: pid, exitSignal: signal }) =>
        dead && signal !== undefined && signal !== 0 ? [{ pid, signal }] : []
      ),
      makers: this.#makers,
      sharesMemory: [...this.#tasks.values()].some(({ pid, memoryOwner = pid }) =>
        memoryOwner !== pid
      ),
      problems: this.#problems,
    };
  }

  #refuse({ pid }: TreeTask, what: string): void {
    this.#problems.push({ pid, what });
  }

  #actions(pid: number): BirthAction[] {
    let actions = this.#births.get(pid);
    if (actions === undefined) this.#births.set(pid, actions = []);
    return actions;
  }

  /** Children come before their parents here: what a leader's children need, it needs at its own birth. */
  #findWanted(tasks: readonly TreeTask[]): Map<number, Set<number>> {
    const wanted = new Map<number, Set<number>>();
    for (const { pid, sid } of [...tasks].reverse()) {
      const sessions = new Set(pid === sid ? [] : [sid]);
      if (pid === sid) {
        for (const child of this.#children.get(pid) ?? []) {
          for (const one of wanted.get(child.pid) ?? []) if (one !== sid) sessions.add(one);
        }
      }
      wanted.set(pid, sessions);
    }
    return wanted;
  }

  #findWanters(tasks: readonly TreeTask[]): Map<number, Set<number>> {
    const wanters = new Map<number, Set<number>>();
    for (const { ppid, sid } of tasks) {
      const parent = this.#tasks.get(ppid);
      if (parent === undefined || parent.sid === sid) continue;
      const known = wanters.get(sid);
      if (known === undefined) wanters.set(sid, new Set([ppid]));
      else known.add(ppid);
    }
    return wanters;
  }

  /**
   * The session that a task must be born in: its own, or of a leader one that its children want and that nobody below
   * it can give them. Undefined for any.
   */
  #birthSession(task: TreeTask): number | undefined {
    if (!isLeader(task)) return task.sid;
    return [...this.#wanted.get(task.pid) ?? []].find((sid) => {
      if (this.#tasks.has(sid)) return !this.#descends(sid, task.pid);
      // Its leader is dead, and leads again below one of those who want it, unless others do elsewhere.
      return [...this.#wanters.get(sid) ?? []].some((pid) =>
        pid !== task.pid && !this.#descends(pid, task.pid) && !this.#descends(task.pid, pid)
      );
    });
  }

  /** Plans what a task does at its turn. @returns the children that it cannot bear */
  #bear(task: TreeTask, queue: TreeTask[]): TreeTask[] {
    const actions = this.#actions(task.pid);
    const former = this.#bornIn.get(task.pid) as number;
    const children = this.#children.get(task.pid) ?? [];
    if (task.dead && children.length > 0) {
      for (const child of children) {
        this.#refuse(child, `its parent ${task.pid} has ended, and dead tasks have no children`);
      }
      return [];
    }
    const [alike, others] = partition(children, (child) => this.#hasTables(child, task.pid));
    const bear = (child: TreeTask, session: number): void => {
      const { pid, exitSignal } = child;
      actions.push({ kind: "clone", pid, sibling: false, exitSignal });
      this.#born(child, session, task.pid, queue);
    };
    // A leader's children of its former session are born before it leaves that one.
    const [late, early] = partition(
      alike,
      (child) => former === task.sid || !this.#wants(child, former) || this.#wants(child, task.sid),
    );
    for (const child of early) bear(child, former);
    if (former !== task.sid) actions.push({ kind: "setsid" });
    const [own, orphans] = partition(
      late,
      (child) => [task.sid, undefined].includes(this.#birthSession(child)),
    );
    for (const child of own) bear(child, task.sid);
    return [...others, ...orphans];
  }

  #wants({ pid }: TreeTask, session: number): boolean {
    return this.#wanted.get(pid)?.has(session) ?? false;
  }

  #born(task: TreeTask, session: number, maker: number, queue: TreeTask[]): void {
    this.#bornIn.set(task.pid, session);
    this.#makers.set(task.pid, maker);
    queue.push(task);
  }

  /** Whether a task can be born with what it shares if a certain one makes it. */
  #hasTables(task: TreeTask, maker: number): boolean {
    return OWNER_KEYS.every((key) => this.#hasOne(task, maker, key));
  }

  #hasOne(task: TreeTask, maker: number, key: OwnerKey): boolean {
    const owner = task[key] ?? task.pid;
    return owner === task.pid || owner === (this.#tasks.get(maker)?.[key] ?? maker);
  }

  /** Has those born that can be, the deepest first: what is made for them, those above can use. @returns the others */
  #help(waiting: readonly TreeTask[], queue: TreeTask[]): TreeTask[] {
    const rest: TreeTask[] = [];
    const depths = new Map(waiting.map((task) => [task, this.#depth(task)]));
    const deepest = [...waiting].sort((a, b) =>
      (depths.get(b) as number) - (depths.get(a) as number)
    );
    for (const task of deepest) {
      // Whoever is adopted tells its end by SIGCHLD (reparent_leader() of kernel/exit.c): no orphan has another signal.
      if (task.exitSignal !== undefined) rest.push(task);
      else if (!this.#bearInDeadSession(task, queue) && !this.#adopt(task, queue)) rest.push(task);
    }
    return rest;
  }

  /** The leader is dead: a helper with its pid leads again, bears the orphan as its sibling, and ends. */
  #bearInDeadSession(orphan: TreeTask, queue: TreeTask[]): boolean {
    const { ppid } = orphan;
    const sid = this.#birthSession(orphan);
    if (sid === undefined || this.#tasks.has(sid) || sid === this.#root.sid || sid === 0) {
      return false;
    }
    if (!this.#hasTables(orphan, ppid)) return false;
    let leader = this.#leaders.get(sid);
    if (leader === undefined) {
      // Those above can use what is made for those below, and not the other way round.
      if (!isLeader(orphan) && this.#isWantedBelow(sid, ppid)) return false;
      leader = { pid: sid, parent: ppid, leads: true };
      this.#leaders.set(sid, leader);
      this.#makers.set(sid, ppid);
      this.#actions(ppid).push({ kind: "clone", pid: sid, sibling: false });
      this.#actions(sid).push({ kind: "setsid" });
    }
    if (leader.parent !== ppid) return false;
    this.#actions(sid).push({ kind: "clone", pid: orphan.pid, sibling: true });
    this.#born(orphan, sid, ppid, queue);
    return true;
  }

  /** Whether a session is wanted below a task by others than those who are below one that belongs to it. */
  #isWantedBelow(sid: number, ancestor: number): boolean {
    return [...this.#wanters.get(sid) ?? []].some((pid) => {
      let at = this.#tasks.get(pid);
      while (at !== undefined && at.pid !== ancestor && at.sid !== sid) {
        at = this.#tasks.get(at.ppid);
      }
      return pid !== ancestor && at?.pid === ancestor;
    });
  }

  /** A task below the parent has what the orphan needs: a helper, its child, bears the orphan and ends. */
  #adopt(orphan: TreeTask, queue: TreeTask[]): boolean {
    const donor = this.#findDonor(orphan);
    if (donor === undefined) return false;
    const helper = this.#freePid();
    this.#actions(donor.pid).push({ kind: "clone", pid: helper, sibling: false });
    this.#actions(helper).push({ kind: "clone", pid: orphan.pid, sibling: false });
    this.#bearers.push({ pid: helper, parent: donor.pid, adopter: orphan.ppid, leads: false });
    this.#makers.set(helper, donor.tables);
    this.#born(orphan, donor.sid, donor.tables, queue);
    return true;
  }

  /** Who has the session and the tables that an orphan must be born with, below its parent. */
  #findDonor(orphan: TreeTask): { pid: number; sid: number; tables: number } | undefined {
    const session = this.#birthSession(orphan);
    const helper = session === undefined ? undefined : this.#leaders.get(session);
    if (helper !== undefined && this.#descends(helper.parent, orphan.ppid)) {
      const { pid, parent } = helper;
      if (this.#hasTables(orphan, parent)) return { pid, sid: pid, tables: parent };
    }
    const candidates = session === undefined
      ? OWNER_KEYS.flatMap((key) => this.#sharers.get(orphan[key] ?? 0) ?? [])
      : this.#inSession.get(session) ?? [];
    const found = candidates.find(({ pid }) =>
      // Whoever has had its turn is where it belongs: in its own session.
      pid !== orphan.pid && this.#births.has(pid) && this.#descends(pid, orphan.ppid) &&
      this.#hasTables(orphan, pid)
    );
    return found && { pid: found.pid, sid: found.sid, tables: found.pid };
  }

  #depth({ pid }: TreeTask): number {
    let depth = 0;
    for (let at = this.#tasks.get(pid); at !== undefined; at = this.#tasks.get(at.ppid)) depth++;
    return depth;
  }

  #descends(pid: number, ancestor: number): boolean {
    for (let at = this.#tasks.get(pid); at !== undefined; at = this.#tasks.get(at.ppid)) {
      if (at.ppid === ancestor) return true;
    }
    return false;
  }

  #whyNot(task: TreeTask): string {
    const { ppid, sid } = task;
    const parent = this.#tasks.get(ppid) as TreeTask;
    if (!isLeader(task) && sid !== parent.sid) {
      if (sid === 0) return "its session is led by a task of another pid namespace";
      if (sid === this.#root.sid) {
        return `it belongs to session ${sid}, which is outside of the tree and which its parent left`;
      }
      return `it belongs to session ${sid}, which nobody below its parent can give it`;
    }
    const missing = OWNER_KEYS.find((key) => !this.#hasOne(task, ppid, key)) ?? OWNERS.files;
    const shared = `${SHARED_WORDS[missing]} with task ${task[missing] ?? task.pid}`;
    return `it shares its ${shared}, but neither with its parent nor with a task below that`;
  }

  /* ------------------------------------------------------------------ groups */

  #planGroups(): void {
    const root = this.#root;
    // The group that the root is born into is the tool's: it stands for the one that was outside.
    const outer = this.#tasks.has(root.pgid) ? undefined : root.pgid;
    const members = Map.groupBy(this.#tasks.values(), ({ pgid }) => pgid);
    const joining: [number, BirthAction][] = [];
    for (const [pgid, tasks] of members) {
      const wrong = this.#wrongGroup(pgid, tasks, outer);
      if (wrong !== undefined) {
        this.#refuse(wrong.task, wrong.what);
        continue;
      }
      if (pgid !== outer) this.#makeGroup(pgid, tasks);
      for (const { pid, sid } of tasks) {
        if (pid === pgid || pid === sid) continue;
        // In the group that was outside everybody is, but for those who have made one for others since.
        if (pgid !== outer) joining.push([pid, { kind: "setpgid", pgid }]);
        else if (members.has(pid)) joining.push([pid, this.#backToTools()]);
      }
    }
    this.#groups.push(...joining);
  }

  /** The group of the tool has whatever id: somebody stays in it, whom others can follow. */
  #backToTools(): BirthAction {
    if (this.#anchor === undefined) {
      const { pid } = this.#root;
      const anchor = this.#anchor = this.#freePid();
      this.#actions(pid).push({ kind: "clone", pid: anchor, sibling: false });
      this.#makers.set(anchor, pid);
      this.#keepers.push({ pid: anchor, parent: pid, leads: false });
    }
    return { kind: "follow", pid: this.#anchor };
  }

  /** What the kernel does not allow: a group is of one session, and a session's leader never leaves its own. */
  #wrongGroup(
    pgid: number,
    tasks: readonly TreeTask[],
    outer: number | undefined,
  ): { readonly task: TreeTask; readonly what: string } | undefined {
    const leader = this.#tasks.get(pgid);
    const led = this.#inSession.has(pgid) ? pgid : (tasks[0] as TreeTask).sid;
    const sid = pgid === outer ? this.#root.sid : leader?.sid ?? led;
    for (const task of tasks) {
      if (isLeader(task) && pgid !== task.pid) {
        return { task, what: `it leads a session, but not its process group ${pgid}` };
      }
      if (task.sid !== sid) {
        return { task, what: `its process group ${pgid} is of another session than its own` };
      }
      if (pgid === 0 && pgid !== outer) {
        return { task, what: "its process group is led by a task of another pid namespace" };
      }
    }
    return undefined;
  }

  #makeGroup(pgid: number, [first]: readonly TreeTask[]): void {
    const leader = this.#tasks.get(pgid);
    const make: [number, BirthAction] = [pgid, { kind: "setpgid", pgid: 0 }];
    if (leader === undefined) {
      // Of a dead session's leader, its helper has made it by setsid(2).
      if (this.#leaders.has(pgid)) return;
      const { pid } = first as TreeTask;
      this.#actions(pid).push({ kind: "clone", pid: pgid, sibling: false });
      this.#makers.set(pgid, pid);
      this.#leaders.set(pgid, { pid: pgid, parent: pid, leads: true });
    } else if (isLeader(leader)) return;
    this.#groups.push(make);
    if (leader === undefined || leader.pgid === pgid) return;
    // It has moved to another group since: somebody must stay in this one until all others have joined.
    const keeper = this.#freePid();
    this.#actions(pgid).push({ kind: "clone", pid: keeper, sibling: false });
    this.#makers.set(keeper, pgid);
    this.#groups.push([keeper, { kind: "setpgid", pgid }]);
    this.#keepers.push({ pid: keeper, parent: pgid, leads: false });
  }
}

/** The session that a root which leads its own is born into. No pid is negative. */
const TOOLS_SESSION = -1;

function isLeader({ pid, sid }: TreeTask): boolean {
  return pid === sid;
}

function partition<T>(all: readonly T[], first: (one: T) => boolean): [T[], T[]] {
  const { true: yes = [], false: no = [] } = Object.groupBy(all, (one) => `${first(one)}`);
  return [yes, no];
}
