import { equal } from "@std/assert";
import { rootFor } from "./cgroup_root.ts";

Deno.test("rootFor() prefers what is said of a controller", () => {
  const roots = [
    { controller: "cpu", path: "/cpu" },
    { path: "/all" },
    { controller: "", path: "/two" },
    { controller: "name=systemd", path: "/named" },
  ];
  equal(rootFor(roots, "cpu,cpuacct"), "/cpu");
  equal(rootFor(roots, "memory"), "/all");
  equal(rootFor(roots, ""), "/two");
  equal(rootFor(roots, "name=systemd"), "/named");
  equal(rootFor([{ controller: "cpu", path: "/cpu" }], "memory"), undefined);
  equal(rootFor(undefined, ""), undefined);
});
