import { deepEqual } from "@std/assert";
import { parseCgroup } from "../../core/linux/procfs/mod.ts";
import { cgroupNotes, describeCgroups } from "./unsaved.ts";

const groups = (text: string) => describeCgroups(parseCgroup(text));

Deno.test("cgroupNotes() is silent of tasks in the tool's control groups", () => {
  const own = groups("2:cpu,cpuacct:/\n0::/user.slice\n");
  deepEqual(cgroupNotes([{ pid: 5, groups: own }], own), []);
});

Deno.test("cgroupNotes() names each other group once, with how many are in it", () => {
  const own = groups("4:memory:/\n0::/user.slice\n");
  const job = groups("4:memory:/jobs/7\n0::/user.slice\n");
  const service = groups("4:memory:/\n0::/system.slice/a.service\n");
  deepEqual(
    cgroupNotes([
      { pid: 5, groups: job },
      { pid: 6, groups: service },
      { pid: 7, groups: job },
      { pid: 8, groups: own },
    ], own),
    [
      "task 5 and 1 more are in the control group /jobs/7 (memory), and will be in that of whoever restores",
      "task 6 is in the control group /system.slice/a.service, and will be in that of whoever restores",
    ],
  );
});
