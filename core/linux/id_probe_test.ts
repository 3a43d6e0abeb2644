import { deepEqual, equal } from "@std/assert";
import { IdProbe } from "./id_probe.ts";
import { readTasks } from "./procfs/mod.ts";

Deno.test("IdProbe tells of tasks, threads, and sessions whose leaders are gone", async () => {
  using probe = new IdProbe();
  // The runtime's own threads come and go.
  const free = readTasks(Deno.pid).filter((tid) => !probe.isTaken(tid));
  const threads = readTasks(Deno.pid);
  deepEqual(free.filter((tid) => threads.includes(tid)), []);
  equal(probe.isTaken((1 << 22) - 1), false);
  // What has led the session and the group has ended, and has been reaped; what is left is in both.
  const script = "sleep 1000 >/dev/null 2>&1 & echo $$ $!";
  const { stdout } = await new Deno.Command("setsid", { args: ["--wait", "sh", "-c", script] })
    .output();
  const [leader, left] = new TextDecoder().decode(stdout).trim().split(" ").map(Number);
  try {
    equal(probe.isTaken(leader!), true);
  } finally {
    Deno.kill(left!, "SIGKILL");
  }
  // Whoever has adopted it reaps it.
  for (let tries = 0; probe.isTaken(leader!) && tries < 3000; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  equal(probe.isTaken(leader!), false);
});
