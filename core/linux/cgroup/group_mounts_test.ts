import { deepEqual, equal } from "@std/assert";
import { parseMountinfo } from "../procfs/mod.ts";
import { mountsOf, placesOf } from "./group_mounts.ts";

const MOUNTS = parseMountinfo(
  "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
    "35 31 0:32 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n" +
    "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n" +
    "41 31 0:38 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw\n" +
    "50 23 0:38 /docker/7 /mnt/one\\040group rw - cgroup2 cgroup2 rw\n",
);
const directories = (hierarchy: string, path: string) =>
  placesOf(MOUNTS, hierarchy, path).map(({ directory }) => directory);

Deno.test("mountsOf() finds hierarchies by all of their controllers", () => {
  equal(mountsOf(MOUNTS, "cpu,cpuacct").length, 1);
  equal(mountsOf(MOUNTS, "cpu,cpuset").length, 0);
  equal(mountsOf(MOUNTS, "name=systemd").length, 1);
  equal(mountsOf(MOUNTS, "systemd").length, 0);
  equal(mountsOf(MOUNTS, "").length, 2);
});

Deno.test("placesOf() puts what can be written to first", () => {
  deepEqual(directories("", "/docker/7/x"), [
    "/mnt/one group/x",
    "/sys/fs/cgroup/unified/docker/7/x",
  ]);
  deepEqual(directories("", "/other"), ["/sys/fs/cgroup/unified/other"]);
  deepEqual(directories("", "/"), ["/sys/fs/cgroup/unified"]);
  deepEqual(placesOf(MOUNTS, "memory", "/a").map(({ readOnly }) => readOnly), [true]);
});

Deno.test("placesOf() finds nothing outside of what is mounted", () => {
  deepEqual(directories("pids", "/"), []);
  deepEqual(directories("", "/../other"), []);
  const outside = parseMountinfo("50 23 0:38 /.. /mnt rw - cgroup2 cgroup2 rw\n");
  deepEqual(placesOf(outside, "", "/../other").map(({ directory }) => directory), ["/mnt/other"]);
});
