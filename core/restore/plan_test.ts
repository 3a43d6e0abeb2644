import { deepEqual, equal, ok, throws } from "@std/assert";
import { remoteAddress } from "../linux/address.ts";
import { ProgramImage } from "../remote/program_image.ts";
import { planBirths } from "./births.ts";
import type { core_entry } from "../../images/gen/thread_pb.ts";
import type { pstree_entry } from "../../images/gen/tree_pb.ts";
import { type PlanBasis, RestorePlan, SCRATCH_ROOM } from "./plan.ts";
import { PlannedTask } from "./planned_task.ts";
import { PlannedThread } from "./planned_thread.ts";

/** A plan of nothing but births: one task with so many children. */
function planOf(children: number): RestorePlan {
  const root = { pid: 10, ppid: 0, pgid: 10, sid: 10 };
  const tasks = Array.from({ length: children }, (_, index) => ({
    ...root,
    pid: 11 + index,
    ppid: 10,
  }));
  const basis: Partial<PlanBasis> = {
    births: planBirths([root, ...tasks], () => 9),
    services: { first: 64, end: 1000 },
    highestDescriptor: 2,
    hole: remoteAddress(0x1_0000_0000n),
    plugins: [],
    options: {},
  };
  return new RestorePlan(basis as PlanBasis);
}

Deno.test("RestorePlan.scratchSize() counts what a task with hundreds of children runs", () => {
  const plan = planOf(3000);
  const [[pid, actions]] = [...plan.births.births] as [[
    number,
    Parameters<
      RestorePlan["birthProgram"]
    >[1],
  ]];
  // It leads a session, too.
  equal(actions.length, 3001);
  const { size } = new ProgramImage(plan.birthProgram(pid, actions));
  ok(plan.scratchSize() > BigInt(size), `${plan.scratchSize()} for ${size}`);
});

Deno.test("RestorePlan.scratchSize() counts what makes names", () => {
  const plan = planOf(1);
  const before = plan.scratchSize();
  for (let count = 0; count < 1000; count++) plan.names.program.call("unlink", `/tmp/${count}`);
  ok(plan.scratchSize() > before);
});

Deno.test("RestorePlan.scratchSize() refuses programs that have no room", () => {
  const plan = planOf(1);
  // Only its size is asked for.
  const contents = plan.seed.data({ byteLength: Number(SCRATCH_ROOM) } as Uint8Array);
  plan.seed.call("write", 1, contents, Number(SCRATCH_ROOM));
  throws(() => plan.scratchSize(), { code: "unsupported" });
});

Deno.test("PlannedTask.program() is that of a first thread that ends, for as long as that is there", () => {
  const core = {} as core_entry;
  const owners = { files: 10, memory: 10, handlers: 10, fs: 10 };
  const task = new PlannedTask(planOf(0), { pid: 10 } as pstree_entry, core, owners);
  const [leader, heir, other] = [10, 12, 13].map((tid) =>
    new PlannedThread(tid, task, () => core)
  ) as [
    PlannedThread,
    PlannedThread,
    PlannedThread,
  ];
  task.ended = { thread: leader, status: 0x700 };
  for (const thread of [heir, other]) task.addThread(thread);
  for (const stage of ["open", "threads", "task", "locks", "signals"] as const) {
    equal(task.program(stage), leader.program(stage), stage);
  }
  for (const stage of ["seccomp_all", "credentials", "late"] as const) {
    equal(task.program(stage), heir.program(stage), stage);
  }
  deepEqual(task.madeThreads, [heir, other]);
  // It is there in that stage by itself.
  task.endedThread(10);
  deepEqual([...task.endedThreads], []);
});

/** A task with threads, each of which has one call in the stage "thread". */
function taskOfThreads(count: number): PlannedTask {
  const core = {} as core_entry;
  const owners = { files: 10, memory: 10, handlers: 10, fs: 10 };
  const task = new PlannedTask(planOf(0), { pid: 10 } as pstree_entry, core, owners);
  for (let tid = 10; tid < 10 + count; tid++) {
    const thread = new PlannedThread(tid, task, () => core);
    thread.program("thread").call("gettid");
    task.addThread(thread);
  }
  return task;
}

Deno.test("PlannedTask.lotsIn() has each thread that works once, and not all of many together", () => {
  const task = taskOfThreads(1000);
  const lots = task.lotsIn("thread");
  deepEqual(lots.flat(), task.threads);
  ok(lots.length > 1 && lots.every(({ length }) => length > 0 && length <= 256));
  deepEqual(task.lotsIn("credentials"), []);
  task.threads[5]?.program("credentials").call("gettid");
  deepEqual(task.lotsIn("credentials"), [[task.threads[5]]]);
});

Deno.test("PlannedThread.keepSizesAlone() forgets calls, and counts those that come later as well", () => {
  const [thread] = taskOfThreads(1).threads as [PlannedThread];
  const before = thread.sizeAt("thread");
  thread.keepSizesAlone();
  equal(thread.planned("thread"), undefined);
  equal(thread.sizeAt("thread"), before);
  ok(thread.worksIn("thread"));
  thread.program("thread").call("getpid");
  ok(thread.sizeAt("thread") > before);
});
