import assert from "@std/assert";
import { type BirthAction, planBirths, type TreeTask } from "./births.ts";

const task = (pid: number, ppid: number, pgid: number, sid: number): TreeTask => ({
  pid,
  ppid,
  pgid,
  sid,
});

/** Does what a plan says, as the kernel would, and tells parent, group and session of each task. */
function simulate(tasks: readonly TreeTask[], outer = { pgid: -1, sid: -1 }) {
  let next = 9000;
  const plan = planBirths(tasks, () => next++);
  const root = tasks[0] as TreeTask;
  const now = new Map<number, { ppid: number; pgid: number; sid: number; reaper: boolean }>();
  now.set(root.pid, { ppid: 0, ...outer, reaper: false });
  const act = (pid: number, action: BirthAction): void => {
    const self = now.get(pid);
    if (self === undefined) throw new Error(`task ${pid} acts before it is born`);
    if (action.kind === "clone") {
      assert.ok(!now.has(action.pid), `task ${action.pid} is born twice`);
      const ppid = action.sibling ? self.ppid : pid;
      now.set(action.pid, { ppid, pgid: self.pgid, sid: self.sid, reaper: false });
    } else if (action.kind === "setsid") {
      assert.notEqual(self.pgid, pid, "a group leader cannot call setsid");
      self.sid = self.pgid = pid;
    } else if (action.kind === "subreaper") self.reaper = action.on;
    else {
      const pgid = action.pgid === 0 ? pid : action.pgid;
      assert.notEqual(self.sid, pid, "a session leader keeps its group");
      if (pgid !== pid) {
        const mate = [...now.values()].find((one) => one.pgid === pgid);
        assert.equal(mate?.sid, self.sid, `task ${pid} joins group ${pgid} of its session`);
      }
      self.pgid = pgid;
    }
  };
  for (const [pid, actions] of plan.births) actions.forEach((action) => act(pid, action));
  for (const [pid, actions] of plan.groups) actions.forEach((action) => act(pid, action));
  for (const { pid } of plan.helpers) {
    for (const [, child] of now) {
      if (child.ppid !== pid) continue;
      let reaper = now.get(pid)?.ppid as number;
      while (!now.get(reaper)?.reaper) reaper = now.get(reaper)?.ppid as number;
      child.ppid = reaper;
    }
    now.delete(pid);
  }
  return { plan, now };
}

function assertRebuilt(tasks: readonly TreeTask[]): void {
  const { plan, now } = simulate(tasks);
  assert.deepEqual(plan.problems, []);
  const [root] = tasks as [TreeTask];
  const outside = (id: number, outer: number) => id === outer && outer !== root.pid ? -1 : id;
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
  assertRebuilt(tasks);
  assert.deepEqual(simulate(tasks).plan.helpers, [{ pid: 20, parent: 10 }]);
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
  const lost = planBirths(
    [task(10, 0, 10, 10), task(11, 10, 11, 11), task(12, 11, 30, 30), task(30, 10, 30, 30)],
    () => 99,
  );
  assert.equal(lost.problems.length, 1);
  assert.equal(lost.problems[0]?.pid, 12);
});
