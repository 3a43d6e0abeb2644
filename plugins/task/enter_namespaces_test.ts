import { equal } from "@std/assert";
import { canBeEntered, enterCommand } from "./enter_namespaces.ts";

const inside = { pid: 70, inner: 8, names: ["ipc"], strangeProc: false } as const;

Deno.test("enterCommand() enters what differs, by its own id there", () => {
  equal(enterCommand(inside), "nsenter --target 70 --ipc stasis checkpoint 8");
  equal(
    enterCommand({ ...inside, names: ["mnt", "pid", "pid_for_children", "user"] }),
    "nsenter --target 70 --mount --pid --user --preserve-credentials " +
      'stasis checkpoint 8 -D "$PWD/stasis-8"',
  );
});

Deno.test("enterCommand() lets the init of a namespace run on, and mounts a /proc where none fits", () => {
  equal(
    enterCommand({ pid: 70, inner: 1, names: ["mnt", "pid"], strangeProc: true }),
    'nsenter --target 70 --mount --pid sh -c "mount -t proc proc /proc && ' +
      "stasis checkpoint 1 --leave-running -D '$PWD/stasis-1'\"",
  );
});

Deno.test("canBeEntered() is false of a process whose children alone are born elsewhere", () => {
  equal(canBeEntered(["mnt", "pid", "pid_for_children"]), true);
  equal(canBeEntered(["mnt", "pid_for_children"]), false);
  equal(canBeEntered(["time_for_children"]), false);
});
