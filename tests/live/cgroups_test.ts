/**
 * Control groups: kept where they are, made anew by choice, and what stands against that.
 */
import { deepEqual, equal, match } from "@std/assert";
import { EXIT_STATUS } from "../../base/errors.ts";
import { checkpoint, type ManageCgroups, restore } from "../../mod.ts";
import {
  ControlGroup,
  groupOf,
  type Hierarchy,
  onHierarchies,
  OWN_HIERARCHY,
} from "../harness/control_groups.ts";
import { skip } from "../harness/skip.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { bringsBack, ImageHome, leavesAlone, save, startSleeper } from "./round_trip.ts";

for (const [version, name] of [["v2", ""], ["v1", OWN_HIERARCHY]] as const) {
  Deno.test(
    `cgroup ${version}: each process comes back into its group`,
    onHierarchies([name], async (t, hierarchy) => {
      const one = hierarchy.make(), other = hierarchy.make(`${one.path.slice(1)}/inner`);
      const args = [`self=${one.directory}/cgroup.procs`, `child=${other.directory}/cgroup.procs`];
      await leavesAlone(t, "cgroups", { args });
      await bringsBack(t, "cgroups", { args });
    }),
  );
}

Deno.test(
  "cgroup v1: each thread comes back into its group",
  onHierarchies([OWN_HIERARCHY], async (t, hierarchy) => {
    const [one, two] = [hierarchy.make(), hierarchy.make()];
    const args = [
      `self=${one.directory}/tasks`,
      `thread=${two.directory}/tasks`,
      `thread=${hierarchy.directory}/tasks`,
      `thread=${one.directory}/tasks`,
    ];
    await leavesAlone(t, "cgroups", { args });
    await bringsBack(t, "cgroups", { args });
  }),
);

Deno.test(
  "cgroup v2: each thread comes back into its threaded group",
  onHierarchies([""], async (t, hierarchy) => {
    const domain = hierarchy.make();
    const [one, two] = ["one", "two"].map((name) =>
      hierarchy.make(`${domain.path.slice(1)}/${name}`)
    );
    for (const group of [one!, two!]) group.write("cgroup.type", "threaded");
    const args = [
      `self=${domain.directory}/cgroup.procs`,
      `self=${one!.directory}/cgroup.threads`,
      `thread=${two!.directory}/cgroup.threads`,
      `thread=${domain.directory}/cgroup.threads`,
    ];
    await leavesAlone(t, "cgroups", { args });
    await bringsBack(t, "cgroups", { args });
  }),
);

/** What becomes of a tree whose group is gone, and of one whose group is there with other settings, in each mode. */
const MODES: Readonly<
  Record<ManageCgroups, { readonly gone: "made" | "refused" | "left"; readonly here: string }>
> = {
  none: { gone: "refused", here: "9" },
  props: { gone: "refused", here: "5" },
  soft: { gone: "made", here: "9" },
  full: { gone: "made", here: "5" },
  strict: { gone: "made", here: "refused" },
  ignore: { gone: "left", here: "left" },
};

for (
  const [mode, { gone, here }] of Object.entries(MODES) as [ManageCgroups, typeof MODES.none][]
) {
  Deno.test(
    `--manage-cgroups=${mode}: what becomes of groups`,
    onHierarchies([""], async (_, hierarchy) => {
      using images = new ImageHome();
      const group = hierarchy.make();
      const inner = `${group.path}/inner`;
      hierarchy.make(inner.slice(1));
      group.write("cgroup.max.depth", "5");
      Deno.chownSync(`${group.directory}/cgroup.procs`, 4321, 1234);
      Deno.chmodSync(group.directory, 0o750);
      await using subject = await startSleeper("true");
      group.enter(subject.pid);
      await save(subject, images);
      const settings = { options: { manageCgroups: mode } };
      const own = groupOf(hierarchy, Deno.pid);

      // It is there, with other settings.
      group.write("cgroup.max.depth", "9");
      if (here === "refused") {
        match(
          await conflict(images, mode),
          new RegExp(`the control group ${group.path} exists here`),
        );
      } else {
        const tree = await restore(images.directory, settings);
        equal(groupOf(hierarchy, subject.pid), here === "left" ? own : group.path);
        equal(group.read("cgroup.max.depth"), here === "left" ? "9" : here);
        tree.kill(9);
        await tree.wait();
      }

      // It is gone.
      await new ControlGroup(hierarchy, inner).remove();
      await group.remove();
      if (gone === "refused") {
        const text = await conflict(images, mode);
        match(text, new RegExp(`the control group ${group.path} does not exist here`));
        match(text, /--manage-cgroups=soft makes it anew/);
        match(text, /--manage-cgroups=ignore leaves the tree in this tool's groups/);
        return;
      }
      const tree = await restore(images.directory, settings);
      equal(groupOf(hierarchy, subject.pid), gone === "left" ? own : group.path);
      equal(group.exists, gone === "made");
      if (gone === "made") {
        equal(group.read("cgroup.max.depth"), "5");
        equal(new ControlGroup(hierarchy, inner).exists, true);
        const { uid, gid } = Deno.statSync(`${group.directory}/cgroup.procs`);
        deepEqual([uid, gid], [4321, 1234]);
        equal((Deno.statSync(group.directory).mode ?? 0) & 0o777, 0o750);
      }
      tree.kill(9);
      await tree.wait();
    }),
  );
}

/** What the command line says of images that cannot be restored. */
async function conflict(images: ImageHome, ...words: readonly string[]): Promise<string> {
  const [mode] = words;
  const { status, stderr } = await stasis([
    "restore",
    ...mode === undefined ? [] : [`--manage-cgroups=${mode}`],
    "--dry-run",
    images.directory,
  ]);
  equal(status, EXIT_STATUS.conflict, stderr);
  return stderr;
}

Deno.test(
  "groups are not saved where they are ignored",
  onHierarchies([""], async (_, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make();
    await using subject = await startSleeper("true");
    group.enter(subject.pid);
    await checkpoint(subject.pid, {
      directory: images.directory,
      options: { manageCgroups: "ignore" },
    });
    await subject.waitGone();
    const tree = await restore(images.directory);
    equal(groupOf(hierarchy, subject.pid), groupOf(hierarchy, Deno.pid));
    tree.kill(9);
    await tree.wait();
  }),
);

Deno.test(
  "threads come back into groups that are made anew",
  onHierarchies([OWN_HIERARCHY], async (t, hierarchy) => {
    using images = new ImageHome();
    const [one, two] = [hierarchy.make(), hierarchy.make()];
    await using subject = await Subject.start("cgroups", {
      args: [`self=${one.directory}/tasks`, `thread=${two.directory}/tasks`],
    });
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    await save(subject, images);
    await one.remove();
    await two.remove();
    const tree = await restore(images.directory, { options: { manageCgroups: "soft" } });
    await subject.expectPass();
    await tree.wait();
  }),
);

Deno.test(
  "threaded groups are made anew, with those that they are in",
  onHierarchies([""], async (t, hierarchy) => {
    using images = new ImageHome();
    const domain = hierarchy.make();
    const [one, two] = ["one", "two"].map((name) =>
      hierarchy.make(`${domain.path.slice(1)}/${name}`)
    );
    for (const group of [one!, two!]) group.write("cgroup.type", "threaded");
    await using subject = await Subject.start("cgroups", {
      args: [
        `self=${domain.directory}/cgroup.procs`,
        `self=${one!.directory}/cgroup.threads`,
        `thread=${two!.directory}/cgroup.threads`,
      ],
    });
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    await save(subject, images);
    for (const group of [one!, two!, domain]) await group.remove();
    const tree = await restore(images.directory, { options: { manageCgroups: "soft" } });
    equal(domain.read("cgroup.type"), "domain threaded");
    await subject.expectPass();
    await tree.wait();
  }),
);

Deno.test(
  "the tree gets into another group where one is named",
  onHierarchies(["", OWN_HIERARCHY], async (_, two, one) => {
    using images = new ImageHome();
    const groups = [two.make(), one.make()];
    const others = [two.make(), one.make()];
    await using subject = await startSleeper("true");
    for (const group of groups) group.enter(subject.pid);
    await save(subject, images);
    const tree = await restore(images.directory, {
      options: {
        cgroupRoots: [
          { controller: "", path: others[0]!.path },
          { controller: OWN_HIERARCHY, path: others[1]!.path },
        ],
      },
    });
    deepEqual(
      others.map(({ hierarchy }) => groupOf(hierarchy, subject.pid)),
      others.map(({ path }) => path),
    );
    tree.kill(9);
    await tree.wait();
  }),
);

Deno.test(
  "a checkpoint with --cgroup-root saves settings from that group on, and moves nothing",
  onHierarchies(["", OWN_HIERARCHY], async (_, hierarchy, other) => {
    using images = new ImageHome();
    const outer = hierarchy.make(), inner = hierarchy.make(`${outer.path.slice(1)}/inner`);
    const elsewhere = other.make();
    outer.write("cgroup.max.depth", "5");
    await using subject = await startSleeper("true");
    for (const group of [inner, elsewhere]) group.enter(subject.pid);
    const options = { cgroupRoots: [{ path: outer.path }] };
    // Whoever took it for a new place of the tree would miss it in the other hierarchy, and refuse.
    await checkpoint(subject.pid, { directory: images.directory, options });
    await subject.waitGone();
    for (const group of [inner, outer]) await group.remove();
    const tree = await restore(images.directory, { options: { manageCgroups: "soft" } });
    equal(groupOf(hierarchy, subject.pid), inner.path);
    equal(outer.read("cgroup.max.depth"), "5");
    tree.kill(9);
    await tree.wait();
  }),
);

Deno.test(
  "groups of cgroup v1 without processors get those of the group above where they are made anew for others",
  onHierarchies(["cpuset"], async (_, hierarchy) => {
    using images = new ImageHome();
    const outer = hierarchy.make(), inner = hierarchy.make(`${outer.path.slice(1)}/inner`);
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      const all = Deno.readTextFileSync(`${hierarchy.directory}/${file}`).trim();
      for (const group of [outer, inner]) group.write(file, all);
    }
    inner.write("cpuset.cpus", "0");
    await using subject = await startSleeper("true");
    inner.enter(subject.pid);
    await save(subject, images);
    for (const group of [inner, outer]) await group.remove();
    const tree = await restore(images.directory, { options: { manageCgroups: "soft" } });
    equal(groupOf(hierarchy, subject.pid), inner.path);
    equal(inner.read("cpuset.cpus"), "0");
    tree.kill(9);
    await tree.wait();
  }),
);

/** Facts of descriptors by number: the path, the position and the flags. */
function descriptorsOf(pid: number): string[] {
  return [20, 21, 22, 23].map((fd) => {
    const info = Deno.readTextFileSync(`/proc/${pid}/fdinfo/${fd}`);
    return [
      Deno.readLinkSync(`/proc/${pid}/fd/${fd}`),
      /^pos:\t(\d+)$/m.exec(info)?.[1],
      /^flags:\t0*(\d+)$/m.exec(info)?.[1],
      /^inotify .*mask:(\w+)/m.exec(info)?.[1],
    ].join(" ");
  });
}

Deno.test(
  "files of a group that are open are files like others, also where the group is made anew",
  onHierarchies([""], async (_, hierarchy) => {
    using images = new ImageHome();
    const group = hierarchy.make();
    await using subject = await startSleeper(`
      cd ${group.directory}
      exec python3 -c '
import ctypes, os
os.dup2(os.open("cgroup.procs", os.O_RDONLY), 20)
os.dup2(os.open("cgroup.max.depth", os.O_RDWR), 21)
os.dup2(os.open(".", os.O_RDONLY | os.O_DIRECTORY), 22)
os.read(21, 2)
libc = ctypes.CDLL(None)
os.dup2(libc.inotify_init1(0), 23)
libc.inotify_add_watch(23, b"cgroup.events", 2)
os.closerange(3, 20)
os.execv("/bin/sleep", ["sleep", "1000"])'`);
    group.enter(subject.pid);
    const before = descriptorsOf(subject.pid);
    match(before[1] ?? "", /cgroup\.max\.depth 2 /);
    await save(subject, images);
    for (const anew of [false, true]) {
      if (anew) await group.remove();
      const tree = await restore(images.directory, { options: { manageCgroups: "soft" } });
      deepEqual(descriptorsOf(subject.pid), before);
      equal(Deno.readLinkSync(`/proc/${subject.pid}/cwd`), group.directory);
      tree.kill(9);
      await tree.wait();
    }
  }),
);

Deno.test(
  "a tree comes back into a namespace of control groups of its own",
  onHierarchies(["", OWN_HIERARCHY], async (_, two, one) => {
    using images = new ImageHome();
    const [root, named] = [two.make(), one.make()];
    const inner = two.make(`${root.path.slice(1)}/inner`);
    await using subject = await startSleeper(`
      echo $$ >${root.directory}/cgroup.procs
      echo $$ >${named.directory}/cgroup.procs
      exec unshare --cgroup sh -c 'echo $$ >${inner.directory}/cgroup.procs; exec sleep 1000'`);
    /** What is seen of its groups from here, and from within. */
    const seen = async () => {
      const { stdout } = await new Deno.Command("nsenter", {
        args: ["--cgroup", "-t", String(subject.pid), "cat", `/proc/${subject.pid}/cgroup`],
      }).output();
      const within = new TextDecoder().decode(stdout).split("\n");
      const inside = (name: string) => within.find((line) => line.split(":")[1] === name);
      return [
        groupOf(two, subject.pid),
        groupOf(one, subject.pid),
        inside("")?.split(":")[2],
        inside(one.name)?.split(":")[2],
      ];
    };
    const isOwn = () =>
      Deno.readLinkSync(`/proc/${subject.pid}/ns/cgroup`) ===
        Deno.readLinkSync("/proc/self/ns/cgroup");
    const expected = [inner.path, named.path, "/inner", "/"];
    deepEqual(await seen(), expected);
    equal(isOwn(), false);
    await save(subject, images);
    for (const anew of [false, true]) {
      if (anew) { for (const group of [inner, root, named]) await group.remove(); }
      const tree = await restore(images.directory, { options: { manageCgroups: "soft" } });
      deepEqual(await seen(), expected);
      equal(isOwn(), false);
      tree.kill(9);
      await tree.wait();
    }
  }),
);

Deno.test(
  "controllers of cgroup v2 are handed on to groups that are made anew, or asked for",
  onHierarchies([""], async (t, hierarchy) => {
    using images = new ImageHome();
    const controllers = Deno.readTextFileSync(`${hierarchy.directory}/cgroup.controllers`);
    const [controller, limits] = Object.entries(LIMITS).find(([one]) =>
      controllers.trim().split(" ").includes(one)
    ) ?? [];
    if (controller === undefined || limits === undefined) {
      return skip(t, "cgroup v2 has no controllers here");
    }
    const outer = hierarchy.make();
    const inner = hierarchy.make(`${outer.path.slice(1)}/inner`);
    const [setting] = limits.filter((one) => hasFile(hierarchy, controller, one));
    {
      using handed = hierarchy.handOn(controller);
      if (handed.refused !== undefined) return skip(t, handed.refused);
      outer.write("cgroup.subtree_control", `+${controller}`);
      await using subject = await startSleeper("true");
      inner.enter(subject.pid);
      if (setting === undefined) return skip(t, `the controller ${controller} has no limit`);
      inner.write(setting, String(64 << 20));
      await save(subject, images);
      for (const group of [inner, outer]) await group.remove();
      const tree = await restore(images.directory, { options: { manageCgroups: "soft" } });
      equal(groupOf(hierarchy, subject.pid), inner.path);
      equal(inner.read(setting), String(64 << 20));
      equal(outer.read("cgroup.subtree_control"), controller);
      tree.kill(9);
      await tree.wait();
      for (const group of [inner, outer]) await group.remove();
    }
    const enabled = Deno.readTextFileSync(`${hierarchy.directory}/cgroup.subtree_control`);
    if (enabled.trim().split(" ").includes(controller)) return;
    for (
      const [mode, above, directory] of [
        ["soft", "/", hierarchy.directory],
        // Groups that exist have no files of a controller that is not handed on to them.
        ["full", outer.path, outer.directory],
      ] as const
    ) {
      if (mode === "full") {
        for (const group of [outer, inner]) Deno.mkdirSync(group.directory);
      }
      const text = await conflict(images, mode);
      match(
        text,
        new RegExp(`had settings of the controller ${controller}, which ${above} does not hand on`),
      );
      match(
        text,
        new RegExp(`echo \\+${controller} >${directory}/cgroup.subtree_control`),
      );
    }
  }),
);

/** Limits of controllers of cgroup v2 that take a number of bytes. */
const LIMITS: Readonly<Record<string, readonly string[]>> = {
  memory: ["memory.max"],
  hugetlb: ["hugetlb.2MB.max", "hugetlb.1GB.max"],
};

/** Whether groups have a file of a controller. */
function hasFile(hierarchy: Hierarchy, controller: string, file: string): boolean {
  using handed = hierarchy.handOn(controller);
  if (handed.refused !== undefined) return false;
  const probe = `${hierarchy.directory}/stasis-probe-${crypto.randomUUID()}`;
  Deno.mkdirSync(probe);
  try {
    return [...Deno.readDirSync(probe)].some(({ name }) => name === file);
  } finally {
    Deno.removeSync(probe);
  }
}
