import { deepEqual } from "@std/assert";
import { parseQueues, parseSegments, parseSemaphores } from "./sysvipc.ts";

Deno.test("parseSegments() has what shared memory is, and who uses it", () => {
  const head =
    "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n";
  deepEqual(parseSegments(""), []);
  deepEqual(parseSegments(head), []);
  const line =
    "        -2         14  1600                  8192 12876 12877      1     1     2     3     4 1795673277          0 1795673270                     0                     0\n";
  deepEqual(parseSegments(head + line), [{
    key: 0xfffffffe,
    id: 14,
    mode: 0o1600,
    uid: 1,
    gid: 2,
    cuid: 3,
    cgid: 4,
    changed: 1795673270,
    used: 1795673277,
    size: 8192n,
    attached: 1,
    creator: 12876,
    last: 12877,
  }]);
});

Deno.test("parseSemaphores() has the id and the size of each set", () => {
  const head =
    "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n";
  const line =
    "        17      32769   600        250     0     0  1000  1000 1700000009 1700000000\n";
  const [set] = parseSemaphores(head + line);
  deepEqual([set?.key, set?.id, set?.count, set?.cuid], [17, 32769, 250, 1000]);
  deepEqual([set?.used, set?.changed], [1700000009, 1700000000]);
});

Deno.test("parseQueues() has the messages and who sent and received last", () => {
  const head =
    "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n";
  const line =
    "         0          1   644          12          3   100   200     0     0     0     0         50         60         40\n";
  const [queue] = parseQueues(head + line);
  deepEqual(
    [queue?.bytes, queue?.messages, queue?.sender, queue?.receiver, queue?.used, queue?.changed],
    [12, 3, 100, 200, 60, 40],
  );
});
