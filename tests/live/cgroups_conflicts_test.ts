/**
 * What stands against a restore into control groups is found before a tree is ended, or at least before anything is
 * built; and of a restore that fails no group is left.
 */
import { deepEqual, equal, match } from "@std/assert";
import { EXIT_STATUS } from "../../base/errors.ts";
import { checkpoint, planRestore, restore } from "../../mod.ts";
import {
  type ControlGroup,
  groupOf,
  onHierarchies,
  OWN_HIERARCHY,
} from "../harness/control_groups.ts";
import { processTree, readProcess, waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf } from "../harness/unharmed.ts";
import { becomesSleep, ImageHome, problemsOf, save, startSleeper } from "./round_trip.ts";

/** What is said of a checkpoint that is refused. */
async function refusalOf(pid: number): Promise<string> {
  using images = new ImageHome();
  const error = await failureOf(checkpoint(pid, images));
  equal(error.code, "unsupported", error.message);
  return [error.message, error.hint, ...error.problems.flatMap(({ what, hint }) => [what, hint])]
    .join("\n");
}

Deno.test(
  "cgroup v2: tasks in a frozen group are refused by its name",
  onHierarchies([""], async (_, hierarchy) => {
    const group = hierarchy.make(), inner = hierarchy.make(`${group.path.slice(1)}/inner`);
    await using subject = await startSleeper("true");
    inner.enter(subject.pid);
    group.write("cgroup.freeze", "1");
    try {
      await waitUntil(() => /frozen 1/.test(inner.read("cgroup.events") ?? ""), "it to be frozen");
      const [problem] = await problemsOf(subject.pid);
      equal(problem?.what, `it is in a control group that is frozen, ${inner.path}`);
      match(problem?.hint ?? "", /thaw it.*: echo 0 >.*cgroup\.freeze/);
    } finally {
      group.write("cgroup.freeze", "0");
    }
  }),
);

Deno.test(
  "cgroup v1: tasks in a frozen group are refused by its name",
  onHierarchies(["freezer"], async (_, hierarchy) => {
    const group = hierarchy.make();
    await using subject = await startSleeper("true");
    group.enter(subject.pid);
    group.write("freezer.state", "FROZEN");
    try {
      await waitUntil(() => group.read("freezer.state") === "FROZEN", "it to be frozen");
      const [problem] = await problemsOf(subject.pid);
      equal(problem?.what, `it is in a control group that is frozen, ${group.title}`);
      match(problem?.hint ?? "", /thaw it.*: echo THAWED >.*freezer\.state/);
    } finally {
      group.write("freezer.state", "THAWED");
    }
  }),
);

Deno.test(
  "a group that has been frozen meanwhile is a conflict",
  onHierarchies([""], async (_, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make();
    await using subject = await startSleeper("true");
    group.enter(subject.pid);
    await save(subject, images);
    group.write("cgroup.freeze", "1");
    const error = await failureOf(restore(images.directory));
    equal(error.code, "conflict");
    match(error.problems[0]?.what ?? "", new RegExp(`^the control group ${group.path} is frozen`));
  }),
);

Deno.test(
  "a group that takes no tasks any more is a conflict",
  onHierarchies([""], async (t, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make();
    await using subject = await startSleeper("true");
    group.enter(subject.pid);
    await save(subject, images);
    const controllers = Deno.readTextFileSync(`${hierarchy.directory}/cgroup.controllers`).trim();
    const domain = controllers.split(" ").find((one) => ["memory", "io", "hugetlb"].includes(one));
    if (domain === undefined) return skip(t, "cgroup v2 has no controllers here");
    using handed = hierarchy.handOn(domain);
    if (handed.refused !== undefined) return skip(t, handed.refused);
    group.write("cgroup.subtree_control", `+${domain}`);
    const error = await failureOf(restore(images.directory));
    match(error.problems[0]?.what ?? "", /takes no tasks: it hands controllers on/);
    await group.remove();
  }),
);

Deno.test(
  "a group that goes between plan and restore is a conflict, and one that comes is",
  onHierarchies([""], async (_, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make();
    await using subject = await startSleeper("true");
    group.enter(subject.pid);
    await save(subject, images);
    const entering = await planRestore(images.directory);
    await group.remove();
    const gone = await failureOf(restore(entering));
    equal(gone.code, "conflict");
    match(gone.message, new RegExp(`the control group ${group.path} cannot be entered: ENOENT`));
    const making = await planRestore(images.directory, { options: { manageCgroups: "soft" } });
    Deno.mkdirSync(group.directory);
    const there = await failureOf(restore(making));
    equal(there.code, "conflict");
    match(there.message, new RegExp(`the control group ${group.path} cannot be made: EEXIST`));
    equal(group.exists, true);
    equal(readProcess(subject.pid), null);
  }),
);

Deno.test(
  "the groups that a failed restore has made are removed",
  onHierarchies([""], async (_, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make(), inner = hierarchy.make(`${group.path.slice(1)}/inner`);
    await using subject = await startSleeper("true");
    inner.enter(subject.pid);
    await save(subject, images);
    await inner.remove();
    await group.remove();
    const plan = await planRestore(images.directory, { options: { manageCgroups: "soft" } });
    const [task] = plan.tasks;
    task?.program("late").call("open", "/nonexistent/stasis", 0);
    const error = await failureOf(restore(plan));
    equal(error.errno, "ENOENT");
    deepEqual([group.exists, inner.exists], [false, false]);
  }),
);

Deno.test(
  "a group with odd bytes in its name is a group like others",
  onHierarchies([""], async (_, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make(`stasis-test \r\u2028 ${Deno.pid}:x\\ (deleted)`);
    await using subject = await startSleeper("true");
    group.enter(subject.pid);
    await save(subject, images);
    for (const anew of [false, true]) {
      if (anew) await group.remove();
      const tree = await restore(images.directory, { options: { manageCgroups: "soft" } });
      equal(groupOf(hierarchy, subject.pid), group.path);
      tree.kill(9);
      await tree.wait();
    }
  }),
);

Deno.test(
  "a group that is too small for the threads",
  onHierarchies([{ controller: "pids" }], async (_, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make();
    await using subject = await Subject.start("threads_many", { args: ["5"] });
    group.enter(subject.pid);
    group.write("pids.max", "5");
    match(
      await refusalOf(subject.pid),
      /may have 5 tasks, and would have 6 while the tree is built\nraise its pids\.max/,
    );
    group.write("pids.max", "6");
    await save(subject, images);
    group.write("pids.max", "4");
    const error = await failureOf(restore(images.directory));
    equal(error.code, "conflict");
    match(error.message, /the control group .* may have 4 tasks, and would have 6/);
    group.write("pids.max", "6");
    const tree = await restore(images.directory);
    await subject.expectPass();
    await tree.wait();
  }),
);

Deno.test(
  "memory is accounted to the group from the beginning",
  onHierarchies([{ controller: "memory" }], async (_, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make();
    const [usage, limit] = hierarchy.name === ""
      ? ["memory.current", "memory.max"]
      : ["memory.usage_in_bytes", "memory.limit_in_bytes"];
    group.write(limit as string, String(256 << 20));
    await using subject = await Subject.start("mem_anon", { args: ["32"] });
    group.enter(subject.pid);
    await save(subject, images);
    const before = Number(group.read(usage as string));
    const tree = await restore(images.directory);
    const charged = Number(group.read(usage as string)) - before;
    equal(charged >= 32 << 20, true, `${charged} bytes are charged to the group`);
    await subject.expectPass();
    await tree.wait();
  }),
);

Deno.test(
  "what the tree has in common with the tool it has in common with the next one",
  onHierarchies([OWN_HIERARCHY], async (_, hierarchy) => {
    using images = new ImageHome();
    const session = hierarchy.make(), next = hierarchy.make();
    const inside = (
      group: ControlGroup,
    ) => ["sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, group.directory];
    await using subject = await startSleeper("true");
    session.enter(subject.pid);
    const saved = await stasis(["checkpoint", String(subject.pid), "-D", images.directory], {
      through: inside(session),
    });
    equal(saved.status, 0, saved.stderr);
    await subject.waitGone();
    const bringBack = async (): Promise<string> => {
      const { status, stderr } = await stasis(["restore", "-d", images.directory], {
        through: inside(next),
      });
      equal(status, 0, stderr);
      const group = groupOf(hierarchy, subject.pid);
      Deno.kill(subject.pid, "SIGKILL");
      await subject.waitGone();
      return `${group}: ${stderr}`;
    };
    // Back into a session that is there still.
    match(await bringBack(), new RegExp(`^${session.path}: $`));
    await session.remove();
    match(
      await bringBack(),
      new RegExp(
        `^${next.path}: .*the control group ${session.path} .* does not exist here: the tree was there with the tool`,
      ),
    );
  }),
);

Deno.test(
  "a namespace that begins in the tool's group begins in that of the next one, which may make it",
  onHierarchies([""], async (_, hierarchy) => {
    using images = new ImageHome();
    const session = hierarchy.make(), next = hierarchy.make();
    const inside = (group: ControlGroup, ...words: string[]) => [
      ...["sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`],
      group.directory,
      ...words,
    ];
    await using subject = await startSleeper(`
      echo $$ >${session.directory}/cgroup.procs
      exec unshare --cgroup sleep 1000`);
    await becomesSleep(subject.pid);
    const saved = await stasis(["checkpoint", String(subject.pid), "-D", images.directory], {
      through: inside(session),
    });
    equal(saved.status, 0, saved.stderr);
    await subject.waitGone();
    await session.remove();
    const without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
    const refused = await stasis(["restore", "-d", images.directory], {
      through: inside(next, ...without),
    });
    equal(refused.status, EXIT_STATUS["no-privilege"], refused.stderr);
    match(refused.stderr, /namespace of control groups of its own, which takes CAP_SYS_ADMIN/);
    const { status, stderr } = await stasis(["restore", "-d", images.directory], {
      through: inside(next),
    });
    equal(status, 0, stderr);
    equal(groupOf(hierarchy, subject.pid), next.path);
    const { stdout } = await new Deno.Command("nsenter", {
      args: ["--cgroup", "-t", String(subject.pid), "cat", `/proc/${subject.pid}/cgroup`],
    }).output();
    match(new TextDecoder().decode(stdout), /^0::\/$/m);
    Deno.kill(subject.pid, "SIGKILL");
    await subject.waitGone();
  }),
);

Deno.test(
  "a hierarchy that is mounted for reading only keeps out, and says so",
  onHierarchies([OWN_HIERARCHY], async (t, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make();
    await using subject = await startSleeper("true");
    group.enter(subject.pid);
    await save(subject, images);
    const { directory } = hierarchy;
    const bind =
      `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && umount "$0" && exec "$@"`;
    const readOnly = `mount -o remount,bind,ro "$0" && exec "$@"`;
    const run = (script: string, ...args: string[]) =>
      stasis(["restore", "--dry-run", ...args, images.directory], {
        through: ["unshare", "-m", "--propagation", "private", "sh", "-c", script, directory],
      });
    const refused = await run(readOnly);
    if (/permission|denied/i.test(refused.stderr)) return skip(t, refused.stderr);
    equal(refused.status, EXIT_STATUS.conflict, refused.stderr);
    match(refused.stderr, /is on a file system that is mounted for reading only here/);
    equal((await run(readOnly, "--manage-cgroups=ignore")).status, 0);
    equal((await run(bind)).status, 0);
    const unmounted = await run(`umount "$0" && exec "$@"`);
    equal(unmounted.status, EXIT_STATUS.conflict, unmounted.stderr);
    match(unmounted.stderr, /cannot be looked for: its hierarchy is not mounted here/);
    match(unmounted.stderr, new RegExp(`mount -t cgroup -o none,${OWN_HIERARCHY}`));
  }),
);

Deno.test(
  "a file that may have a trigger of pressure is refused, and one that has none is not",
  onHierarchies([""], async (t, hierarchy) => {
    const group = hierarchy.make();
    if (group.read("cpu.pressure") === undefined) return skip(t, "this kernel tells no pressure");
    for (const path of [`${group.directory}/cpu.pressure`, "/proc/pressure/cpu"]) {
      await using subject = await startSleeper(`exec 5<>${path}; echo some 150000 2000000 >&5`);
      const [problem] = await problemsOf(subject.pid);
      equal(
        problem?.what,
        `its descriptor 5 (${path}) may have a trigger of pressure (PSI), which is lost`,
      );
    }
    using images = new ImageHome();
    await using subject = await startSleeper(`exec 5<${group.directory}/cpu.pressure`);
    await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  }),
);

Deno.test(
  "tasks in different namespaces of control groups are refused",
  onHierarchies([""], async (_, hierarchy) => {
    const group = hierarchy.make();
    await using subject = await startSleeper(`
      (echo $BASHPID >${group.directory}/cgroup.procs
      exec unshare --cgroup sleep 1000) &`);
    const inNamespace = (pid: number) =>
      Deno.readLinkSync(`/proc/${pid}/ns/cgroup`) !== Deno.readLinkSync("/proc/self/ns/cgroup");
    const child = () => processTree(subject.pid).find((pid) => pid !== subject.pid) as number;
    await waitUntil(() => child() !== undefined && inNamespace(child()), "it to leave");
    await becomesSleep(child());
    const [problem] = await problemsOf(subject.pid);
    equal(problem?.pid, child());
    match(problem?.what ?? "", /^it is in another namespace of control groups than task/);
    match(problem?.hint ?? "", /--manage-cgroups=ignore/);
  }),
);

Deno.test(
  "a tree in a namespace of control groups that the tool's is in is refused",
  onHierarchies([""], async (_, hierarchy) => {
    using images = new ImageHome();
    const [tool, group] = [hierarchy.make(), hierarchy.make()];
    await using subject = await startSleeper("true");
    group.enter(subject.pid);
    const checkpoint = (...words: string[]) =>
      stasis(["checkpoint", "-R", String(subject.pid), "-D", images.directory, ...words], {
        through: [
          ...["sh", "-c", `echo $$ >"$0/cgroup.procs" && exec unshare --cgroup "$@"`],
          tool.directory,
        ],
      });
    const { status, stderr } = await checkpoint();
    equal(status, EXIT_STATUS.unsupported, stderr);
    match(stderr, /another namespace of control groups than this tool, which begins outside/);
    match(stderr, new RegExp(`nsenter --cgroup -t ${subject.pid}`));
    equal((await checkpoint("--manage-cgroups=ignore")).status, 0);
  }),
);
