import assert from "@std/assert";
import { type BirthAction, type BirthPlan, planBirths, type TreeTask } from "./births.ts";
import { sharedAtBirth } from "./shared_at_birth.ts";

const task = (
  pid: number,
  ppid: number,
  pgid: number,
  sid: number,
  more: Partial<TreeTask> = {},
): TreeTask => ({ pid, ppid, pgid, sid, ...more });

/** A task as the kernel would have it. */
interface Now {
  ppid: number;
  pgid: number;
  sid: number;
  files: number;
  fs: number;
  memory: number;
  handlers: number;
}

/** Does what a plan says, as the kernel would, and tells what has become of each task. */
function simulate(tasks: readonly TreeTask[]) {
  let next = 9000;
  const plan = planBirths(tasks, () => next++);
  const known = new Map(tasks.map((task) => [task.pid, task]));
  const root = tasks[0] as TreeTask;
  let tables = 1;
  const now = new Map<number, Now>();
  now.set(root.pid, { ppid: 0, pgid: -1, sid: -1, files: 0, fs: 0, memory: 0, handlers: 0 });
  const act = (pid: number, action: BirthAction): void => {
    const self = now.get(pid);
    if (self === undefined) throw new Error(`task ${pid} acts before it is born`);
    if (action.kind === "clone") {
      assert.ok(!now.has(action.pid), `task ${action.pid} is born twice`);
      const shared = sharedAtBirth(action.pid, plan, (one) => known.get(one));
      assert.ok(shared.memory || !shared.handlers, "CLONE_SIGHAND takes CLONE_VM");
      now.set(action.pid, {
        ppid: action.sibling ? self.ppid : pid,
        pgid: self.pgid,
        sid: self.sid,
        files: shared.files ? self.files : tables++,
        fs: shared.fs ? self.fs : tables++,
        memory: shared.memory ? self.memory : tables++,
        handlers: shared.handlers ? self.handlers : tables++,
      });
    } else if (action.kind === "setsid") {
      assert.notEqual(self.pgid, pid, "a group leader cannot call setsid");
      assert.ok([...now.values()].every(({ pgid }) => pgid !== pid), "its group exists");
      self.sid = self.pgid = pid;
    } else {
      const mate = action.kind === "follow" ? now.get(action.pid)?.pgid as number : action.pgid;
      const pgid = mate === 0 ? pid : mate;
      assert.notEqual(self.sid, pid, "a session leader keeps its group");
      if (pgid !== pid) {
        const mate = [...now.values()].find((one) => one.pgid === pgid);
        assert.equal(mate?.sid, self.sid, `task ${pid} joins group ${pgid} of its session`);
      }
      self.pgid = pgid;
    }
  };
  for (const [pid, actions] of plan.births) actions.forEach((action) => act(pid, action));
  for (const [pid, action] of plan.groups) act(pid, action);
  for (const { pid, parent, adopter } of plan.helpers) {
    assert.equal(now.get(pid)?.ppid, parent, `helper ${pid} is reaped by its parent`);
    for (const child of now.values()) {
      if (child.ppid !== pid) continue;
      let reaper = parent;
      while (reaper !== adopter) {
        reaper = now.get(reaper)?.ppid ?? 0;
        assert.notEqual(reaper, 0, `${adopter} is above helper ${pid}`);
      }
      child.ppid = reaper;
    }
    now.delete(pid);
  }
  return { plan, now };
}

/** Tasks by a number that stands for what they share. */
function sharers(pairs: Iterable<readonly [number, number]>): number[][] {
  return [...Map.groupBy(pairs, ([, owner]) => owner).values()]
    .map((group) => group.map(([pid]) => pid).sort((a, b) => a - b))
    .sort(([a], [b]) => (a as number) - (b as number));
}

function assertRebuilt(tasks: readonly TreeTask[]): BirthPlan {
  const { plan, now } = simulate(tasks);
  assert.deepEqual(plan.problems, []);
  const [root] = tasks as [TreeTask];
  const pids = new Set(tasks.map(({ pid }) => pid));
  const outside = (id: number, outer: number) => id === outer && !pids.has(outer) ? -1 : id;
  assert.deepEqual(
    [...now].map(([pid, { ppid, pgid, sid }]) => ({ pid, ppid, pgid, sid })).sort((a, b) =>
      a.pid - b.pid
    ),
    tasks.map(({ pid, ppid, pgid, sid }) => ({
      pid,
      ppid,
      pgid: outside(pgid, root.pgid),
      sid: outside(sid, root.sid),
    })).sort((a, b) => a.pid - b.pid),
  );
  for (const key of ["files", "fs", "memory", "handlers"] as const) {
    const owner = `${key}Owner` as const;
    const living = tasks.filter(({ dead }) => dead !== true);
    assert.deepEqual(
      sharers(living.map(({ pid }) => [pid, now.get(pid)?.[key] as number])),
      sharers(living.map((one) => [one.pid, one[owner] ?? one.pid])),
      key,
    );
  }
  return plan;
}

Deno.test("planBirths() rebuilds a session with groups, as a shell has it", () => {
  assertRebuilt([
    task(10, 0, 10, 10),
    task(11, 10, 11, 10),
    task(12, 10, 11, 10),
    task(13, 12, 11, 10),
    task(14, 10, 14, 10),
  ]);
});

Deno.test("planBirths() leaves a root that leads no session in the tool's", () => {
  assertRebuilt([task(10, 0, 7, 5), task(11, 10, 7, 5), task(12, 10, 12, 12)]);
});

Deno.test("planBirths() bears a child of the former session before setsid", () => {
  assertRebuilt([
    task(10, 0, 10, 10),
    task(11, 10, 11, 11),
    task(12, 11, 10, 10),
    task(13, 11, 11, 11),
  ]);
});

Deno.test("planBirths() brings a dead session leader back for its orphans", () => {
  const tasks = [task(10, 0, 10, 10), task(12, 10, 20, 20), task(13, 10, 20, 20)];
  assert.deepEqual(assertRebuilt(tasks).helpers, [{ pid: 20, parent: 10, leads: true }]);
});

Deno.test("planBirths() has an orphan of a living session adopted", () => {
  assertRebuilt([task(10, 0, 10, 10), task(11, 10, 11, 11), task(12, 10, 11, 11)]);
});

Deno.test("planBirths() brings a dead group leader back", () => {
  assertRebuilt([task(10, 0, 10, 10), task(11, 10, 15, 10), task(12, 10, 15, 10)]);
});

Deno.test("planBirths() says what it cannot rebuild", () => {
  const { plan } = simulate([task(10, 0, 5, 5), task(11, 10, 11, 11), task(12, 11, 5, 5)]);
  assert.deepEqual(plan.problems, []);
  // Neither leads a session, so neither was born in that of a leader who has been below neither.
  const lost = planBirths(
    [task(10, 0, 10, 10), task(11, 10, 10, 10), task(12, 11, 30, 30), task(30, 10, 30, 30)],
    () => 99,
  );
  assert.equal(lost.problems.length, 1);
  assert.equal(lost.problems[0]?.pid, 12);
});

Deno.test("planBirths() has orphans of one dead leader at several places adopted by their parents", () => {
  assertRebuilt([
    task(10, 0, 10, 10),
    task(11, 10, 11, 11),
    task(12, 10, 20, 20),
    task(13, 11, 20, 20),
  ]);
});

Deno.test("planBirths() bears a child early whose own children belong to the session before", () => {
  assertRebuilt([
    task(10, 0, 7, 5),
    task(11, 10, 11, 11),
    task(12, 11, 12, 12),
    task(13, 12, 7, 5),
  ]);
});

Deno.test("planBirths() makes the group of a zombie whose leader is dead", () => {
  const tasks = [task(10, 0, 10, 10), task(11, 10, 15, 10, { dead: true })];
  assert.deepEqual(assertRebuilt(tasks).helpers, [{ pid: 15, parent: 11, leads: true }]);
});

Deno.test("planBirths() keeps a group whose leader has moved to another one", () => {
  assertRebuilt([task(10, 0, 10, 10), task(11, 10, 10, 10), task(12, 10, 11, 10)]);
  // And where two have changed places.
  assertRebuilt([task(10, 0, 10, 10), task(11, 10, 12, 10), task(12, 10, 11, 10)]);
});

Deno.test("planBirths() lets a root join the group of its child", () => {
  assertRebuilt([task(10, 0, 11, 5), task(11, 10, 11, 5)]);
});

Deno.test("planBirths() has siblings share what their parent has left", () => {
  const shared = { filesOwner: 11, fsOwner: 11 };
  assertRebuilt([
    task(10, 0, 10, 10),
    task(11, 10, 10, 10, shared),
    task(12, 10, 10, 10, shared),
    task(13, 10, 13, 13, { filesOwner: 11 }),
  ]);
});

Deno.test("planBirths() has orphans of a dead session share with their parent", () => {
  const shared = { filesOwner: 10 };
  assertRebuilt([task(10, 0, 10, 10), task(12, 10, 20, 20, shared), task(13, 12, 20, 20, shared)]);
});

Deno.test("planBirths() refuses what no kernel would have", () => {
  const refused = (...tasks: TreeTask[]) =>
    planBirths(tasks, () => 99).problems.map(({ pid }) => pid);
  assert.deepEqual(refused(task(10, 0, 10, 10), task(11, 10, 10, 11)), [11]);
  assert.deepEqual(refused(task(10, 0, 10, 10), task(11, 10, 0, 0)), [11, 11]);
  assert.deepEqual(refused(task(10, 0, 11, 11), task(11, 10, 11, 11)), [10]);
  assert.deepEqual(
    refused(task(10, 0, 10, 10), task(11, 10, 10, 10, { dead: true }), task(12, 11, 10, 10)),
    [12],
  );
  const apart = [task(11, 10, 10, 10), task(12, 11, 10, 10, { fsOwner: 11 })];
  assert.deepEqual(refused(task(10, 0, 10, 10), ...apart), []);
  assert.deepEqual(
    refused(
      task(10, 0, 10, 10),
      task(11, 10, 10, 10),
      task(12, 10, 10, 10),
      task(13, 12, 10, 10, { fsOwner: 11 }),
    ),
    [13],
  );
});

/** Numbers from 0 up to `below`, the same for the same seed (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}

/** A task of a machine on which things happen. */
interface Lived extends Now {
  readonly pid: number;
  dead: boolean;
  reaper: boolean;
}

/** Lets tasks fork, lead, join, share, leave and die at random, as the kernel allows, below one root. */
function live(below: (limit: number) => number, steps: number): TreeTask[] {
  const ROOT = 100;
  let nextPid = ROOT + 1;
  let tables = 1;
  const all = new Map<number, Lived>();
  const outer = below(2) === 0;
  const [pgid, sid] = outer ? [60, 50] : [ROOT, ROOT];
  const shared = { files: 0, fs: 0, memory: 0, handlers: 0 };
  all.set(ROOT, { pid: ROOT, ppid: 0, pgid, sid, ...shared, dead: false, reaper: true });
  const pick = (): Lived => {
    const living = [...all.values()].filter(({ dead }) => !dead);
    return living[below(living.length)] as Lived;
  };
  const groupExists = (id: number) => [...all.values()].some((one) => one.pgid === id);
  for (let step = 0; step < steps; step++) {
    const self = pick();
    switch (below(9)) {
      case 0:
      case 1:
      case 2: {
        const files = below(3) === 0 ? self.files : tables++;
        const fs = below(3) === 0 ? self.fs : tables++;
        const memory = below(6) === 0 ? self.memory : tables++;
        const handlers = memory === self.memory && below(2) === 0 ? self.handlers : tables++;
        const parent = below(12) === 0 && self.pid !== ROOT ? self.ppid : self.pid;
        const pid = nextPid++;
        all.set(pid, {
          ...self,
          pid,
          ppid: parent,
          files,
          fs,
          memory,
          handlers,
          reaper: false,
        });
        break;
      }
      case 3:
        if (!groupExists(self.pid) && self.sid !== self.pid) self.sid = self.pgid = self.pid;
        break;
      case 4: {
        const mates = [...all.values()].filter((one) => one.sid === self.sid);
        const mate = mates[below(mates.length)] as Lived;
        if (self.sid !== self.pid) self.pgid = below(2) === 0 ? self.pid : mate.pgid;
        break;
      }
      case 5:
        if (below(3) === 0) self.files = tables++;
        else if (below(2) === 0) self.fs = tables++;
        // execve(2)
        else [self.memory, self.handlers] = [tables++, tables++];
        break;
      case 6:
        if (below(4) === 0) self.reaper = true;
        break;
      default: {
        if (self.pid === ROOT) break;
        self.dead = true;
        for (const child of all.values()) {
          if (child.ppid !== self.pid) continue;
          let reaper = all.get(self.ppid) as Lived;
          while (!reaper.reaper || reaper.dead) reaper = all.get(reaper.ppid) as Lived;
          child.ppid = reaper.pid;
        }
        if (below(2) === 0) all.delete(self.pid);
      }
    }
  }
  const ordered = [all.get(ROOT) as Lived];
  for (const { pid } of ordered) {
    for (const one of all.values()) if (one.ppid === pid) ordered.push(one);
  }
  const living = ordered.filter(({ dead }) => !dead);
  return ordered.map(({ pid, ppid, pgid, sid, dead, files, fs, memory, handlers }) => ({
    pid,
    ppid,
    pgid,
    sid,
    dead,
    filesOwner: dead ? pid : living.find((one) => one.files === files)?.pid,
    fsOwner: dead ? pid : living.find((one) => one.fs === fs)?.pid,
    memoryOwner: dead ? pid : living.find((one) => one.memory === memory)?.pid,
    handlersOwner: dead ? pid : living.find((one) => one.handlers === handlers)?.pid,
  }));
}

Deno.test("planBirths() rebuilds what a kernel lets happen, or says what not", () => {
  let refused = 0;
  const RUNS = 2000;
  for (let seed = 0; seed < RUNS; seed++) {
    const below = random(seed);
    const tasks = live(below, 10 + below(60));
    const plan = planBirths(tasks, () => 99);
    if (plan.problems.length > 0) refused++;
    else assertRebuilt(tasks);
  }
  assert.ok(refused < RUNS / 8, `${refused} of ${RUNS} are refused`);
});

Deno.test("planBirths() rebuilds all sessions and groups that a kernel lets happen", () => {
  for (let seed = 0; seed < 4000; seed++) {
    const below = random(seed);
    const alone = {
      filesOwner: undefined,
      fsOwner: undefined,
      memoryOwner: undefined,
      handlersOwner: undefined,
    };
    assertRebuilt(live(below, 10 + below(60)).map((task) => ({ ...task, ...alone })));
  }
});

Deno.test("planBirths() bears leaders in the session of a dead one that the orphans of several belong to", () => {
  assertRebuilt([
    task(10, 0, 10, 10),
    task(11, 10, 11, 11),
    task(12, 10, 12, 12),
    task(13, 11, 20, 20),
    task(14, 12, 20, 20),
  ]);
  // The leader is a zombie.
  assertRebuilt([
    task(10, 0, 10, 10),
    task(20, 10, 20, 20, { dead: true }),
    task(12, 10, 12, 12),
    task(14, 12, 20, 20),
  ]);
});

Deno.test("planBirths() of any numbers rebuilds, or says what not, and never fails", () => {
  for (let seed = 0; seed < 5000; seed++) {
    const below = random(seed);
    const count = 1 + below(8);
    const id = () => below(12);
    const tasks = Array.from({ length: count }, (_, index) => {
      const owner = () => 1 + below(index + 1);
      const tables = { filesOwner: owner(), fsOwner: owner() };
      const memories = { memoryOwner: owner(), handlersOwner: owner() };
      const owners = below(2) === 0 ? tables : { ...tables, ...memories };
      const more = below(3) === 0 ? { dead: true } : below(2) === 0 ? owners : {};
      return task(index + 1, index === 0 ? 0 : 1 + below(index), id(), id(), more);
    });
    let next = 9000;
    if (planBirths(tasks, () => next++).problems.length === 0) simulate(tasks);
  }
});
