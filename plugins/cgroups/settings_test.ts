import { deepEqual, equal } from "@std/assert";
import {
  controllerOf,
  isForPermissions,
  isInitial,
  isSettable,
  savedValue,
  settingsAmong,
  writesOf,
} from "./settings.ts";

Deno.test("settingsAmong() takes what can be set, in the order in which it is", () => {
  deepEqual(
    settingsAmong([
      "cgroup.subtree_control",
      "memory.stat",
      "memory.max",
      "pids.current",
      "hugetlb.2MB.max",
      "hugetlb.2MB.events",
      "hugetlb.2MB.rsvd.current",
      "cgroup.kill",
      "cgroup.freeze",
      "memory.pressure",
      "cgroup.type",
      "cpu.max",
    ]),
    ["cgroup.type", "cpu.max", "memory.max", "hugetlb.2MB.max", "cgroup.subtree_control"],
  );
  deepEqual(
    settingsAmong([
      "tasks",
      "cpuset.mems",
      "cpuset.cpus",
      "cpuset.effective_cpus",
      "blkio.throttle.read_bps_device",
      "blkio.throttle.io_serviced",
      "memory.failcnt",
      "hugetlb.2MB.failcnt",
      "hugetlb.2MB.limit_in_bytes",
    ]),
    [
      "cpuset.cpus",
      "cpuset.mems",
      "blkio.throttle.read_bps_device",
      "hugetlb.2MB.limit_in_bytes",
      "tasks",
    ],
  );
});

Deno.test("savedValue() takes the newline off, and the switch out of memory.oom_control", () => {
  equal(savedValue("memory.max", "max\n"), "max");
  equal(savedValue("io.max", "8:0 rbps=1\n8:16 wbps=2\n"), "8:0 rbps=1\n8:16 wbps=2");
  equal(savedValue("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"), "1");
});

Deno.test("savedValue() and writesOf() take of a partition what was asked for, not what came of it", () => {
  const invalid = "root invalid (Parent is not a partition root)";
  equal(savedValue("cpuset.cpus.partition", `${invalid}\n`), "root");
  equal(savedValue("cpuset.cpus.partition", "member\n"), "member");
  deepEqual(writesOf("cpuset.cpus.partition", invalid), [
    { file: "cpuset.cpus.partition", text: "root" },
  ]);
});

Deno.test("writesOf() writes no weight of an idle group, which no other can have", () => {
  deepEqual(writesOf("cpu.weight", "0"), []);
  equal(isInitial("cpu.weight", "0"), true);
  deepEqual(writesOf("cpu.weight", "200"), [{ file: "cpu.weight", text: "200" }]);
  // One that is idle here takes a weight only when it is that no longer.
  deepEqual(settingsAmong(["cpu.weight", "cpu.idle"]), ["cpu.idle", "cpu.weight"]);
});

Deno.test("writesOf() writes as each file wants it", () => {
  deepEqual(writesOf("memory.max", "1024"), [{ file: "memory.max", text: "1024" }]);
  deepEqual(writesOf("cpuset.cpus", ""), [{ file: "cpuset.cpus", text: "\n" }]);
  deepEqual(writesOf("cgroup.subtree_control", "cpu io"), [
    { file: "cgroup.subtree_control", text: "+cpu +io" },
  ]);
  deepEqual(writesOf("cgroup.subtree_control", ""), []);
  deepEqual(writesOf("cgroup.type", "domain threaded"), []);
  deepEqual(writesOf("cgroup.type", "threaded"), [{ file: "cgroup.type", text: "threaded" }]);
  deepEqual(writesOf("devices.list", "c 1:3 rwm\nb *:* m"), [
    { file: "devices.deny", text: "a" },
    { file: "devices.allow", text: "c 1:3 rwm" },
    { file: "devices.allow", text: "b *:* m" },
  ]);
  deepEqual(writesOf("net_prio.ifpriomap", "lo 0\neth0 5"), [
    { file: "net_prio.ifpriomap", text: "eth0 5" },
  ]);
  deepEqual(writesOf("io.max", "8:0 rbps=1\n8:16 wbps=2").map(({ text }) => text), [
    "8:0 rbps=1",
    "8:16 wbps=2",
  ]);
});

Deno.test("writesOf() writes to no file that is not known to be a setting", () => {
  for (
    const name of [
      "cgroup.kill",
      "cgroup.event_control",
      "memory.reclaim",
      "memory.force_empty",
      "release_agent",
      "some.other",
    ]
  ) {
    deepEqual(writesOf(name, "1"), [], name);
    equal(isSettable(name), false, name);
  }
  equal(isSettable("memory.max"), true);
});

Deno.test("writesOf() freezes nothing, and leaves lists of tasks alone", () => {
  for (const name of ["cgroup.freeze", "freezer.state", "cgroup.procs", "tasks"]) {
    deepEqual(writesOf(name, "1"), [], name);
  }
  equal(isForPermissions("cgroup.threads"), true);
  equal(isForPermissions("memory.max"), false);
});

Deno.test("isInitial() knows what a new group has", () => {
  equal(isInitial("memory.max", "max"), true);
  equal(isInitial("memory.max", "1"), false);
  equal(isInitial("cgroup.type", "domain threaded"), true);
  equal(isInitial("memory.swappiness", "60"), false);
  equal(isInitial("tasks", ""), true);
});

Deno.test("controllerOf() is what the group above must have enabled", () => {
  equal(controllerOf("memory.max"), "memory");
  equal(controllerOf("cgroup.max.depth"), undefined);
  equal(controllerOf("tasks"), undefined);
});
