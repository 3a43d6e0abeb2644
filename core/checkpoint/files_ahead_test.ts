import { deepEqual } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { readSmaps, type Vma } from "../linux/procfs/mod.ts";
import { definePlugin } from "../plugin.ts";
import { filesAhead } from "./files_ahead.ts";

Deno.test("filesAhead() has the files of the core first, then those that plugins read, and none of zombies and of what has ended", () => {
  const plugin = definePlugin({ name: "mine", description: "reads" });
  const reads = { ofTasks: { limits: 100, cwd: "link" as const }, ofThreads: { cgroup: 50 } };
  const [vma] = readSmaps(Deno.pid) as [Vma];
  const tasks = [
    { pid: 1, threads: [1], vmas: [vma] },
    { pid: 2, threads: [2, 3], vmas: [vma] },
    { pid: 4, threads: [4], vmas: [] },
    {
      pid: 5,
      threads: [5],
      get vmas(): Vma[] {
        throw new StasisError("no-such-task", "it is gone");
      },
    },
  ];
  const files = [...filesAhead(tasks, [{ plugin, hooks: {} }, { plugin, hooks: { reads } }])];
  deepEqual(files.map(({ path }) => path), [
    "/proc/1/status",
    "/proc/1/smaps",
    "/proc/2/status",
    "/proc/2/smaps",
    "/proc/1/stat",
    "/proc/2/stat",
    "/proc/1/limits",
    "/proc/1/cwd",
    "/proc/2/limits",
    "/proc/2/cwd",
    "/proc/2/task/3/cgroup",
  ]);
  deepEqual(files.at(-2), { path: "/proc/2/cwd", room: "link" });
});
