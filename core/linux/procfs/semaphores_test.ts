import { deepEqual } from "@std/assert";
import { parseSemaphores } from "./semaphores.ts";

Deno.test("parseSemaphores() has the id and the size of each set", () => {
  const head =
    "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n";
  deepEqual(parseSemaphores(head), []);
  const lines =
    "         0          3   600          2     0     0     0     0          0 1764122640\n" +
    "1627521041          4   666        250  1000  1000  1000  1000 1764122641 1764122640\n";
  deepEqual(parseSemaphores(head + lines), [{ id: 3, size: 2 }, { id: 4, size: 250 }]);
});
