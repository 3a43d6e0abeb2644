import { deepEqual, equal, throws } from "@std/assert";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { StasisError } from "../../base/errors.ts";
import { cgroup_entrySchema } from "../../images/gen/cgroup_pb.ts";
import { decodeGroups, encodeGroups, type SavedGroups, withoutLongSettings } from "./image.ts";

type Init = MessageInitShape<typeof cgroup_entrySchema>;
const decode = (init: Init): SavedGroups => decodeGroups(create(cgroup_entrySchema, init), "file");
const permissions = { mode: 0o755, uid: 0, gid: 0 };

Deno.test("decodeGroups() gives back what encodeGroups() took", () => {
  const sets = [
    { id: 1, members: [{ hierarchy: "", path: "/" }] },
    {
      id: 2,
      members: [
        { hierarchy: "", path: "/a\udcff/b", root: "/a\udcff" },
        { hierarchy: "cpu,cpuacct", path: "/c" },
      ],
    },
  ];
  const setting = { name: "memory.max", value: "5", ...permissions, mode: 0o644 };
  const inner = { name: "in", ...permissions, settings: [], children: [] };
  const group = { name: "/a/b", ...permissions, settings: [setting], children: [inner] };
  const init = encodeGroups(sets, [
    { name: "", isThreaded: false, groups: [group] },
    { name: "cpu,cpuacct", isThreaded: true, groups: [] },
  ]);
  // As CRIU has it: bytes of the path, and names from the topmost group on.
  equal(init.sets?.[1]?.ctls?.[0]?.cgnsPrefix, 3);
  equal(init.controllers?.[0]?.dirs?.[0]?.dirName, "a/b");
  const decoded = decode(init);
  deepEqual(
    [...decoded.sets].map(([id, members]) => ({
      id,
      members: members.map(({ root, ...member }) =>
        root === undefined ? member : { ...member, root }
      ),
    })),
    sets,
  );
  deepEqual(decoded.hierarchies, [
    {
      name: "",
      tops: ["/a/b"],
      groups: [{
        path: "/a/b",
        permissions,
        settings: [{
          name: "memory.max",
          value: "5",
          permissions: { ...permissions, mode: 0o644 },
        }],
        children: [{ path: "/a/b/in", permissions, settings: [], children: [] }],
      }],
    },
    { name: "cpu,cpuacct", tops: [], groups: [] },
  ]);
});

Deno.test("decodeGroups() reads the root of a hierarchy and types of files as CRIU has them", () => {
  const { hierarchies } = decode({
    controllers: [{
      cnames: ["freezer"],
      dirs: [{
        dirName: "",
        dirPerms: { mode: 0o40755, uid: 1, gid: 2 },
        children: [{ dirName: "x", dirPerms: { mode: 0o40700, uid: 1, gid: 2 } }],
      }],
    }],
  });
  deepEqual(hierarchies[0]?.tops, ["/"]);
  deepEqual(hierarchies[0]?.groups, [
    { path: "/x", permissions: { mode: 0o700, uid: 1, gid: 2 }, settings: [], children: [] },
  ]);
});

Deno.test("withoutLongSettings() leaves out what could not be restored, and says so", () => {
  const value = (length: number) => ({ ...permissions, name: "io.max", value: "x".repeat(length) });
  const inner = { name: "in", ...permissions, settings: [value(4097)], children: [] };
  const outer = { name: "/a", ...permissions, settings: [value(4096)], children: [inner] };
  const leftOut: string[] = [];
  const group = withoutLongSettings(outer, "/a", (...words) => leftOut.push(words.join(" ")));
  deepEqual(leftOut, ["/a/in io.max"]);
  const init = encodeGroups([], [{ name: "", isThreaded: false, groups: [group] }]);
  const [decoded] = decode(init).hierarchies[0]?.groups ?? [];
  equal(decoded?.settings.length, 1);
  equal(decoded?.children[0]?.settings.length, 0);
});

Deno.test("decodeGroups() leaves out what is no setting, with its permissions", () => {
  const names = ["cgroup.kill", "memory.max", "release_agent", "cgroup.procs", "cgroup.freeze"];
  const { hierarchies } = decode({
    controllers: [{
      cnames: [""],
      dirs: [{
        dirName: "a",
        properties: names.map((name) => ({
          name,
          value: "1",
          perms: { mode: 0o666, uid: 1, gid: 1 },
        })),
      }],
    }],
  });
  deepEqual(hierarchies[0]?.groups[0]?.settings.map(({ name }) => name), [
    "memory.max",
    "cgroup.procs",
  ]);
});

Deno.test("decodeGroups() refuses what leads elsewhere, or is there twice", () => {
  const set = (ctls: NonNullable<NonNullable<Init["sets"]>[number]["ctls"]>, id = 1): Init => ({
    sets: [{ id, ctls }],
  });
  const dirs = (dirName: string, children: string[] = [], name = "memory.max"): Init => ({
    controllers: [{
      cnames: [""],
      dirs: [{
        dirName,
        children: children.map((dirName) => ({ dirName })),
        properties: [{ name, value: "" }],
      }],
    }],
  });
  const member = { name: "", path: "/a" };
  const hostile: Readonly<Record<string, Init>> = {
    "no set": set([member], 0),
    "a set twice": { sets: [{ id: 1 }, { id: 1 }] },
    "a hierarchy twice": set([member, member]),
    "an odd hierarchy": set([{ name: "a/b", path: "/a" }]),
    "a way out": set([{ name: "", path: "/a/../b" }]),
    "no path": set([{ name: "", path: "a" }]),
    "half a name": set([{ name: "", path: "/abc", cgnsPrefix: 2 }]),
    "too much": set([{ name: "", path: "/abc", cgnsPrefix: 9 }]),
    "no controllers": { controllers: [{ cnames: [] }] },
    "controllers twice": { controllers: [{ cnames: ["a"] }, { cnames: ["a"] }] },
    "a group above": dirs("../a"),
    "a group outside": dirs("a", [".."]),
    "a group with a path": dirs("a", ["b/c"]),
    "a file outside": dirs("a", [], "../memory.max"),
    "a directory for a file": dirs("a", [], ".."),
  };
  for (const [what, init] of Object.entries(hostile)) {
    const isRefusal = (error: unknown) =>
      error instanceof StasisError && error.code === "bad-image";
    throws(() => decode(init), isRefusal, what);
  }
  // As /proc/PID/cgroup tells of a group outside of the reader's namespace.
  equal(decode(set([{ name: "", path: "/../x" }])).sets.size, 1);
});
