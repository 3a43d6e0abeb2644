import { deepEqual, equal } from "@std/assert";
import type { SavedGroups } from "./image.ts";
import { reroot } from "./reroot.ts";

const group = (path: string, ...children: string[]) => ({
  path,
  settings: [],
  children: children.map((one) => ({ path: one, settings: [], children: [] })),
});

const SAVED: SavedGroups = {
  sets: new Map([
    [1, [{ hierarchy: "", path: "/own" }]],
    [2, [{ hierarchy: "", path: "/jobs/7/a" }, { hierarchy: "memory", path: "/m" }]],
  ]),
  hierarchies: [
    { name: "", tops: ["/jobs/7"], groups: [group("/jobs/7", "/jobs/7/a")] },
    { name: "memory", tops: ["/m"], groups: [group("/m")] },
  ],
};

Deno.test("reroot() leaves all as it is where nothing is named", () => {
  equal(reroot(SAVED, undefined), SAVED);
  equal(reroot(SAVED, []), SAVED);
});

Deno.test("reroot() moves sets and groups of the hierarchies that are meant", () => {
  const { sets, hierarchies } = reroot(SAVED, [{ controller: "", path: "/new/x" }]);
  deepEqual(sets.get(2), [
    { hierarchy: "", path: "/new/x/a" },
    { hierarchy: "memory", path: "/m" },
  ]);
  // Of the tool's own nothing is in the images.
  deepEqual(sets.get(1), [{ hierarchy: "", path: "/own" }]);
  deepEqual(hierarchies[0]?.groups, [group("/new/x", "/new/x/a")]);
  deepEqual(hierarchies[1], SAVED.hierarchies[1]);
});

Deno.test("reroot() takes the place of the root of a namespace", () => {
  const within: SavedGroups = {
    sets: new Map([[2, [{ hierarchy: "", path: "/jobs/7/a", root: "/jobs" }]]]),
    hierarchies: [{ name: "", tops: ["/jobs/7/a"], groups: [group("/jobs/7/a")] }],
  };
  const { sets, hierarchies } = reroot(within, [{ path: "/new" }]);
  deepEqual(sets.get(2), [{ hierarchy: "", path: "/new/7/a", root: "/new" }]);
  deepEqual(hierarchies[0]?.groups, [group("/new/7/a")]);
});

Deno.test("reroot() keeps what is below the root of a hierarchy that CRIU has saved", () => {
  const whole: SavedGroups = {
    sets: new Map([[2, [{ hierarchy: "", path: "/" }]]]),
    hierarchies: [{ name: "", tops: ["/"], groups: [group("/a"), group("/b")] }],
  };
  const { sets, hierarchies } = reroot(whole, [{ path: "/new" }]);
  deepEqual(sets.get(2), [{ hierarchy: "", path: "/new" }]);
  deepEqual(hierarchies[0]?.groups.map(({ path }) => path), ["/new/a", "/new/b"]);
});
