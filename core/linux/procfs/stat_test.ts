import assert from "@std/assert";
import { parseStat, PF_KTHREAD } from "./stat.ts";

const REST = "R 7106 7105 5192 34816 7105 4194304 100 1 2 3 4 5 6 7 20 -5 1 0 74482 3133440 390 " +
  "18446744073709551615 94089536016384 94089536036265 140722011277008 0 0 8 16 32 64 1 0 0 17 1 50 2 " +
  "9 10 11 94089536052272 94089536053888 94090330595328 140722011278050 140722011278070 " +
  "140722011278071 140722011279339 256\n";

Deno.test("parseStat() reads fields by their places", () => {
  const stat = parseStat(`7113 (cat) ${REST}`);
  assert.deepEqual(stat, {
    pid: 7113,
    comm: "cat",
    state: "R",
    ppid: 7106,
    pgrp: 7105,
    session: 5192,
    ttyNr: 34816,
    tpgid: 7105,
    flags: 4194304,
    minorFaults: 100n,
    majorFaults: 2n,
    userTime: 4n,
    systemTime: 5n,
    threads: 1,
    startTime: 74482n,
    vsize: 3133440n,
    rss: 390n,
    startCode: 94089536016384n,
    endCode: 94089536036265n,
    startStack: 140722011277008n,
    exitSignal: 17,
    startData: 94089536052272n,
    endData: 94089536053888n,
    startBrk: 94090330595328n,
    argStart: 140722011278050n,
    argEnd: 140722011278070n,
    envStart: 140722011278071n,
    envEnd: 140722011279339n,
    exitCode: 256,
  });
});

Deno.test("parseStat() is not misled by a name with parentheses, blanks and newlines", () => {
  for (const comm of ["a) R 1 2 (b", ") S 1", "(((", "x\ny", "", " "]) {
    const stat = parseStat(`1 (${comm}) ${REST}`);
    assert.equal(stat.comm, comm);
    assert.equal(stat.ppid, 7106);
    assert.equal(stat.exitCode, 256);
  }
});

Deno.test("parseStat() shows a kernel thread by its flag", () => {
  const stat = parseStat("2 (kthreadd) S 0 0 0 0 -1 2129984" + " 0".repeat(43) + "\n");
  assert.ok(stat.flags & PF_KTHREAD);
});

Deno.test("parseStat() refuses a text that was cut off", () => {
  assert.throws(() => parseStat("7113 (cat"), /parentheses/);
  assert.throws(() => parseStat("7113 (cat) R 1 2 3"), /6 fields/);
});
