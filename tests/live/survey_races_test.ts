/** What a survey sees of a running tree may be gone, or have become another thing, a moment later. */
import assert from "@std/assert";
import { uncancelled } from "../../core/cancellation.ts";
import { ATTEMPTS, surveyRunning } from "../../core/checkpoint/survey.ts";
import {
  checkpoint,
  type CheckpointHooks,
  definePlugin,
  StasisError,
  type SurveyContext,
} from "../../mod.ts";
import { isAlive, processTree, readProcess, takePid, waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf, ImageRoom } from "../harness/unharmed.ts";

/** A plugin that claims all there is, and says what it is told to at each look. */
function surveyor(looks: readonly ((context: SurveyContext) => void)[]) {
  let count = 0;
  const claimed = {
    kind: "all",
    claims: () => true,
    dump: () => {
      throw new Error("nothing is dumped here");
    },
  };
  const hooks: CheckpointHooks = {
    survey(context) {
      looks[Math.min(count++, looks.length - 1)]!(context);
    },
    descriptors: [claimed],
    mappings: [claimed],
  };
  const plugin = definePlugin({ name: "surveyor", description: "looks" });
  return { hooked: [{ plugin, hooks }], count: () => count };
}

const says = (...whats: string[]) => (context: SurveyContext) => {
  for (const what of whats) context.problem({ pid: context.root.pid, what });
};
const fails = (code: "syscall" | "no-such-task", message: string) => (context: SurveyContext) => {
  throw new StasisError(code, message, { pid: context.root.pid });
};

async function withSleep(body: (pid: number) => Promise<void>): Promise<void> {
  await using subject = await Subject.spawn("bash", { args: ["-c", "echo ready; exec sleep 100"] });
  await subject.waitReady();
  await body(subject.pid);
}

Deno.test("surveyRunning() forgets a problem that the next look does not find", async () => {
  await withSleep(async (pid) => {
    const { hooked, count } = surveyor([says("one"), says("two"), says()]);
    await surveyRunning(pid, false, hooked, uncancelled());
    assert.equal(count(), 3);
  });
});

Deno.test("surveyRunning() refuses for the problems that it finds twice, and names no others", async () => {
  await withSleep(async (pid) => {
    const { hooked } = surveyor([says("passing", "lasting"), says("lasting", "new")]);
    await assert.rejects(
      surveyRunning(pid, false, hooked, uncancelled()),
      (error: StasisError) => {
        assert.equal(error.code, "unsupported");
        assert.deepEqual(error.problems.map(({ what }) => what), ["lasting"]);
        return true;
      },
    );
  });
});

Deno.test("surveyRunning() looks again where something went while it was looked at", async () => {
  await withSleep(async (pid) => {
    const { hooked, count } = surveyor([
      fails("no-such-task", "descriptor 3 is gone"),
      fails("syscall", "kcmp: EBADF"),
      says(),
    ]);
    await surveyRunning(pid, false, hooked, uncancelled());
    assert.equal(count(), 3);
  });
});

Deno.test("surveyRunning() passes on a failure that comes again", async () => {
  await withSleep(async (pid) => {
    const { hooked, count } = surveyor([fails("syscall", "kcmp: EPERM")]);
    await assert.rejects(
      surveyRunning(pid, false, hooked, uncancelled()),
      /kcmp: EPERM/,
    );
    assert.equal(count(), 2);
  });
});

Deno.test("surveyRunning() leaves a tree in which no two looks agree to the frozen survey", async () => {
  await withSleep(async (pid) => {
    let look = 0;
    const { hooked, count } = surveyor([(context) => says(`problem ${look++}`)(context)]);
    await surveyRunning(pid, false, hooked, uncancelled());
    assert.equal(count(), ATTEMPTS);
  });
});

/**
 * A tree whose children come and go: xargs starts one after the other.
 *
 * @param redirection of descriptors of the tree; 9 is a pipe from outside
 */
async function withXargs(redirection: string, body: (pid: number) => Promise<void>): Promise<void> {
  const run =
    `exec xargs -n1 /bin/true < <(exec </dev/null 9<&-; while :; do seq 1000; done) ${redirection}`;
  const script = `echo ready; sleep 1000 | { exec 9<&0; ${run}; }`;
  await using subject = await Subject.spawn("bash", { args: ["-c", script] });
  await subject.waitReady();
  const xargs = () => processTree(subject.pid).find((pid) => readProcess(pid)?.comm === "xargs");
  await waitUntil(() => xargs() !== undefined, "xargs to run");
  await body(xargs() as number);
}

Deno.test("checkpoint() of a tree whose children end at any moment never says that it lacks a privilege", async () => {
  using room = new ImageRoom();
  await withXargs("9<&-", async (pid) => {
    let saved = 0;
    for (let round = 0; round < 30; round++) {
      try {
        await checkpoint(pid, { directory: room.fresh(), leaveRunning: true });
        saved++;
      } catch (error) {
        if (!(error instanceof StasisError)) throw error;
        assert.ok(
          ["no-such-task", "unsupported"].includes(error.code),
          `${error.code}: ${error.message} ${error.problems.map(({ what }) => what)}`,
        );
        assert.doesNotMatch(error.message, /killed meanwhile/);
      }
    }
    assert.ok(saved > 15, `only ${saved} of 30 succeeded`);
  });
});

Deno.test("checkpoint() of a tree that is refused, and whose children end afterwards, says why it was refused", async () => {
  using room = new ImageRoom();
  await withXargs("", async (pid) => {
    for (let round = 0; round < 15; round++) {
      const error = await failureOf(
        checkpoint(pid, { directory: room.fresh(), leaveRunning: true }),
      );
      assert.equal(error.code, "unsupported", `${error.message} ${(error.cause as Error)?.stack}`);
    }
  });
});

Deno.test("checkpoint() of a tree of which a child ends while it is surveyed saves the rest", async () => {
  using room = new ImageRoom();
  const script =
    '$p = fork; sleep 1000 unless $p; $| = 1; print "ready\n"; waitpid $p, 0; sleep 1000';
  await using subject = await Subject.spawn("perl", { args: ["-e", script] });
  await subject.waitReady();
  const [, child] = processTree(subject.pid) as [number, number];
  const ends = definePlugin({
    name: "ends",
    description: "ends a child",
    checkpoint: () => ({
      async survey() {
        if (!isAlive(child)) return;
        Deno.kill(child, "SIGKILL");
        await waitUntil(() => !isAlive(child), "the child to be reaped");
      },
    }),
  });
  const saved = await checkpoint(subject.pid, {
    directory: room.fresh(),
    leaveRunning: true,
    plugins: [ends],
  });
  assert.equal(saved.tasks, 1);
});

Deno.test("checkpoint() of a process that ends before the freeze leaves who has its id then alone", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.spawn("sleep", { args: ["1000"] });
  let stranger: Deno.ChildProcess | undefined;
  const replaces = definePlugin({
    name: "replaces",
    description: "has another process get the id",
    checkpoint: () => ({
      async survey() {
        if (stranger !== undefined) return;
        await subject.kill();
        await subject.waitGone();
        stranger = await takePid(subject.pid);
      },
    }),
  });
  const error = await failureOf(
    checkpoint(subject.pid, { directory: room.fresh(), leaveRunning: true, plugins: [replaces] }),
  );
  // Somebody else may have been quicker to take the id: then there is nothing to be seen.
  if (stranger === undefined) return;
  stranger.kill("SIGTERM");
  assert.equal((await stranger.status).signal, "SIGTERM", "it has not been ended by the tool");
  assert.equal(error.code, "no-such-task", error.message);
  assert.match(error.message, /has ended meanwhile/);
});
