import { deepEqual, equal, match } from "@std/assert";
import type { ManageCgroups } from "../../core/plugin.ts";
import type { FoundGroup } from "./group_files.ts";
import type { Member } from "./membership.ts";
import { placeMember, type Placement, type PlacementFacts } from "./placement.ts";

const HERE: FoundGroup = { kind: "here", directory: "/cg/x", readOnly: false };
const GONE: FoundGroup = { kind: "gone", directory: "/cg/x", readOnly: false };

function place(
  path: string,
  found: FoundGroup,
  { mode = "none", then = "/then", now = "/now", hierarchy = "", ...rest }: {
    mode?: ManageCgroups;
    then?: string;
    now?: string;
    hierarchy?: string;
    obstacle?: PlacementFacts["obstacle"];
    ownNow?: readonly Member[];
  } = {},
): Placement {
  return placeMember({ hierarchy, path }, {
    mode,
    ownThen: [{ hierarchy, path: then }],
    ownNow: [{ hierarchy, path: now }],
    find: () => found,
    obstacle: () => undefined,
    ...rest,
  });
}

/** What is said of a problem, with its hint. */
function said(placement: Placement): string {
  equal(placement.kind, "problem");
  return placement.kind === "problem" ? `${placement.what}; ${placement.hint}` : "";
}

Deno.test("placeMember() has nothing to do where this tool is in the group", () => {
  deepEqual(place("/now", GONE), { kind: "stay" });
  deepEqual(place("/", GONE, { now: "/" }), { kind: "stay" });
});

Deno.test("placeMember() enters a group that is there, also one that the tool was in", () => {
  deepEqual(place("/x", HERE), { kind: "enter", directory: "/cg/x" });
  deepEqual(place("/then", HERE), { kind: "enter", directory: "/cg/x" });
  // The root of a hierarchy is a place like others for who was put there.
  deepEqual(place("/", HERE), { kind: "enter", directory: "/cg/x" });
});

Deno.test("placeMember() leaves a tree with the tool where it was with its tool", () => {
  deepEqual(place("/", HERE, { then: "/" }), { kind: "stay" });
  deepEqual(place("/then", GONE), {
    kind: "stay",
    lost: "the control group /then does not exist here",
  });
  deepEqual(place("/then", GONE, { mode: "soft" }).kind, "stay");
  equal(place("/then", { kind: "unmounted" }).kind, "stay");
});

Deno.test("placeMember() names a group that is not there, and the way out", () => {
  match(
    said(place("/x", GONE)),
    /^the control group \/x does not exist here; --manage-cgroups=soft makes/,
  );
  match(said(place("/x", GONE, { mode: "props" })), /--manage-cgroups=ignore leaves/);
  deepEqual(place("/x", GONE, { mode: "soft" }), { kind: "make", directory: "/cg/x" });
  match(
    said(place("/x", { ...GONE, readOnly: true }, { mode: "full" })),
    /mounted for reading only/,
  );
});

Deno.test("placeMember() names what keeps tasks out", () => {
  match(
    said(place("/x", HERE, { obstacle: () => ({ why: "is frozen", hint: "thaw it" }) })),
    /^the control group \/x is frozen; thaw it; --manage-cgroups=ignore/,
  );
  match(said(place("/x", { kind: "unmounted" })), /mount -t cgroup2/);
  match(
    said(place("/x", { kind: "unmounted" }, { hierarchy: "name=foo" })),
    /\/x \(name=foo\).*mount -t cgroup -o none,name=foo/,
  );
  match(said(place("/../x", { kind: "outside" })), /namespace of control groups/);
  match(said(place("/../x", GONE, { mode: "soft" })), /not made: it would be outside of/);
});

Deno.test("placeMember() names a hierarchy that is not there, but for its root", () => {
  match(
    said(place("/x", HERE, { hierarchy: "cpu,cpuacct", ownNow: [] })),
    /\(cpu,cpuacct\) is of a hierarchy that this machine has not; mount it \(mount -t cgroup -o cpu,cpuacct\)/,
  );
  deepEqual(place("/", HERE, { hierarchy: "cpu", ownNow: [] }), { kind: "stay" });
});
