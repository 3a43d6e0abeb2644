import { deepEqual, equal } from "@std/assert";
import { membersOf } from "./membership.ts";
import { namespaceRoots, withRoots } from "./namespace.ts";

const roots = (outside: string, inside: string) =>
  namespaceRoots(membersOf(outside), membersOf(inside));

Deno.test("namespaceRoots() are what the task does not see of its groups", () => {
  deepEqual(
    [...roots("0::/a/b\n4:memory:/m\n5:pids:/p\n", "0::/b\n4:memory:/\n5:pids:/p\n") ?? []],
    [["", "/a"], ["memory", "/m"], ["pids", "/"]],
  );
});

Deno.test("namespaceRoots() cannot be told of a task outside of its namespace", () => {
  equal(roots("0::/a\n", "0::/../a\n"), undefined);
  equal(roots("0::/a\n", "0::/..\n"), undefined);
  equal(roots("0::/a\n", "0::/b\n"), undefined);
  equal(roots("0::/a\n", ""), undefined);
  // One that the tool's own is in.
  equal(roots("0::/../a\n", "0::/a\n"), undefined);
  equal(roots("0::/\n", "0::/a\n"), undefined);
});

Deno.test("withRoots() knows the roots of all threads of a namespace", () => {
  const found = new Map([["", "/a"], ["memory", "/"]]);
  deepEqual(withRoots(membersOf("0::/a/b\n4:memory:/m\n"), found), [
    { hierarchy: "", path: "/a/b", root: "/a" },
    { hierarchy: "memory", path: "/m" },
  ]);
  equal(withRoots(membersOf("0::/b\n"), found), undefined);
});
