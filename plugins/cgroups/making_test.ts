import { deepEqual, equal, match } from "@std/assert";
import type { ManageCgroups } from "../../core/plugin.ts";
import type { SavedGroup } from "./image.ts";
import { type Makings, planMakings } from "./making.ts";

const group = (
  path: string,
  settings: Readonly<Record<string, string>> = {},
  children: SavedGroup[] = [],
): SavedGroup => ({
  path,
  settings: Object.entries(settings).map(([name, value]) => ({ name, value })),
  children,
});

/** Plans with these groups of cgroup v2 there, each with the controllers that it hands on. */
function plan(
  mode: ManageCgroups,
  there: Readonly<Record<string, string>>,
  groups: SavedGroup[],
  wanted: string[] = [],
  rehearsal = false,
  has: (file: string) => boolean = () => true,
): Makings {
  return planMakings([{ name: "", tops: [], groups }], new Map([["", new Set(wanted)]]), {
    mode,
    rehearsal,
    find: (_, path) => ({
      kind: path in there ? "here" : "gone",
      directory: `/cg${path}`,
      readOnly: false,
    }),
    has: (directory, name) => has(`${directory.slice(3)}/${name}`),
    enabled: (directory) => (there[directory.slice(3)] ?? "").split(" "),
  });
}

const made = ({ made }: Makings) => made.map(({ path, enable }) => [path, ...enable].join(" "));

Deno.test("planMakings() makes what is not there, parents first, with those that it is in", () => {
  const groups = [group("/a/b/c", {}, [group("/a/b/c/d")])];
  deepEqual(made(plan("soft", { "/": "" }, groups)), ["/a", "/a/b", "/a/b/c", "/a/b/c/d"]);
  deepEqual(made(plan("soft", { "/": "", "/a": "", "/a/b": "", "/a/b/c": "" }, groups)), [
    "/a/b/c/d",
  ]);
  deepEqual(made(plan("soft", { "/": "" }, [], ["/x/y"])), ["/x", "/x/y"]);
});

Deno.test("planMakings() makes nothing where that is not asked for", () => {
  for (const mode of ["none", "props"] as const) {
    deepEqual(made(plan(mode, { "/": "" }, [group("/a")])), []);
  }
});

Deno.test("planMakings() sets what is there where that is asked for", () => {
  const there = { "/": "", "/a": "" };
  const groups = [group("/a", { "pids.max": "5" })];
  for (const [mode, set] of [["none", 0], ["soft", 0], ["props", 1], ["full", 1]] as const) {
    equal(plan(mode, there, groups).set.length, set, mode);
  }
});

Deno.test("planMakings() sets nothing of the root of a hierarchy", () => {
  const groups = [group("/", { "pids.max": "5" }, [group("/a", { "pids.max": "6" })])];
  const { set } = plan("full", { "/": "", "/a": "" }, groups);
  deepEqual(set.map(({ path }) => path), ["/a"]);
  deepEqual(plan("strict", { "/": "pids" }, groups).problems, []);
});

Deno.test("planMakings() sets nothing that a group has no file for, and says why it lacks one", () => {
  const groups = [group("/a", { "cgroup.max.depth": "3", "pids.max": "5", "memory.max": "max" })];
  const files = (...names: string[]) => (file: string) => names.includes(file);
  const lacking = plan("full", { "/": "", "/a": "" }, groups, [], false, files());
  deepEqual(lacking.problems.map(({ what }) => what), [
    "the control group /a has no cgroup.max.depth here",
    "the control group /a had settings of the controller pids, which / does not hand on",
  ]);
  match(lacking.problems[1]?.hint ?? "", /echo \+pids >/);
  const there = files("/a/cgroup.max.depth", "/a/pids.max");
  const { problems, set } = plan("props", { "/": "pids", "/a": "" }, groups, [], false, there);
  deepEqual(problems, []);
  deepEqual(set[0]?.saved.settings.map(({ name }) => name), ["cgroup.max.depth", "pids.max"]);
});

Deno.test("planMakings() sets what comes with a controller that the group above hands on again", () => {
  const inner = group("/a/b", { "pids.max": "5" });
  const groups = [group("/a", { "cgroup.subtree_control": "pids" }, [inner])];
  const there = { "/a": "", "/a/b": "" };
  const has = (file: string) => !file.endsWith("pids.max");
  const { problems, set } = plan("full", { "/": "pids", ...there }, groups, [], false, has);
  deepEqual(problems, []);
  deepEqual(set[1]?.saved.settings.map(({ name }) => name), ["pids.max"]);
  const lacking = plan("full", { "/": "", ...there }, groups, [], false, has);
  deepEqual(lacking.problems.map(({ what }) => what), [
    "the control group /a had settings of the controller pids, which / does not hand on",
  ]);
});

Deno.test("planMakings() names a group that is there and must not be", () => {
  const there = { "/": "", "/a": "" };
  match(plan("strict", there, [group("/a")]).problems[0]?.what ?? "", /group \/a exists here/);
  deepEqual(plan("strict", there, [group("/a")], [], true).problems, []);
  deepEqual(made(plan("strict", { "/": "" }, [group("/a")])), ["/a"]);
});

Deno.test("planMakings() has controllers handed on by groups that it makes, and asks for them of others", () => {
  const groups = [
    group("/a/b", {
      "pids.max": "5",
      "memory.max": "max",
      "cgroup.subtree_control": "cpu",
    }),
  ];
  const lacking = plan("soft", { "/": "pids" }, groups);
  deepEqual(made(lacking), ["/a pids cpu", "/a/b"]);
  deepEqual(lacking.problems.map(({ what }) => what), [
    "the control group /a/b had settings of the controller cpu, which / does not hand on",
  ]);
  match(lacking.problems[0]?.hint ?? "", /echo \+cpu >\/cg\/\/?cgroup.subtree_control/);
  deepEqual(plan("soft", { "/": "pids cpu" }, groups).problems, []);
});
