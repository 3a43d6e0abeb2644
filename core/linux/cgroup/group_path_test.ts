import { equal } from "@std/assert";
import { describeGroup, isGroupPath, isWithin, joinWay, topmost, wayFrom } from "./group_path.ts";
import { deepEqual } from "@std/assert";

Deno.test("wayFrom() leads from a group to one below it", () => {
  equal(wayFrom("/", "/"), "");
  equal(wayFrom("/", "/a/b"), "/a/b");
  equal(wayFrom("/a", "/a/b c"), "/b c");
  equal(wayFrom("/a", "/ab"), undefined);
  equal(wayFrom("/a/b", "/a"), undefined);
});

Deno.test("wayFrom() knows what lies outside of the namespace as far as names tell", () => {
  equal(wayFrom("/..", "/../x/y"), "/x/y");
  equal(wayFrom("/../x", "/../x"), "");
  // Nobody says what the root of the namespace is called there.
  equal(wayFrom("/..", "/x"), undefined);
  equal(wayFrom("/", "/../x"), undefined);
  equal(wayFrom("/..", "/../.."), undefined);
});

Deno.test("joinWay() undoes wayFrom()", () => {
  for (const [root, path] of [["/", "/a"], ["/a", "/a"], ["/a", "/a/b"], ["/", "/"]] as const) {
    equal(joinWay(root, wayFrom(root, path) as string), path);
  }
});

Deno.test("topmost() leaves out what is in others", () => {
  deepEqual(topmost(["/a/b", "/a", "/ab", "/a", "/c/d"]), ["/a", "/ab", "/c/d"]);
  deepEqual(topmost([]), []);
  equal(isWithin("/a", "/a/b"), true);
});

Deno.test("isGroupPath() takes no way out", () => {
  for (const path of ["/", "/a", "/a:b/c (deleted)", "/\udcff", "/a\r b"]) {
    equal(isGroupPath(path), true, path);
  }
  for (const path of ["", "a", "/a/", "//a", "/..", "/a/../b", "/./a", "/a\nb", "/a\0"]) {
    equal(isGroupPath(path), false, path);
  }
});

Deno.test("describeGroup() names the controllers of a v1 hierarchy", () => {
  equal(describeGroup("", "/a"), "/a");
  equal(describeGroup("cpu,cpuacct", "/a"), "/a (cpu,cpuacct)");
});
