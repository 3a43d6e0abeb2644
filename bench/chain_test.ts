import { deepEqual } from "@std/assert";
import { chainLines } from "./chain.ts";

Deno.test("chainLines() compares checkpoints with the first, and restores with each other", () => {
  const lines = chainLines([
    { title: "whole", totalMs: 1000, frozenMs: 900, bytes: 100 << 20, writeUs: 0.5 },
    { title: "tracked", totalMs: 100, frozenMs: 90, bytes: 1 << 20, writeUs: 2 },
    { title: "restore", totalMs: 200 },
    { title: "restore of ten", totalMs: 300 },
  ]);
  deepEqual(
    lines.slice(2).map((line) => line.split("|").map((cell) => cell.trim()).slice(1, -1)),
    [
      ["whole", "1000 ms", "900 ms", "100.0", "0.50 us"],
      [
        "tracked",
        "100 ms (0.10)",
        "90 ms (0.10)",
        "1.0 (0.010)",
        "2.00 us (+0.15 % at 1,000 a second)",
      ],
      ["restore", "200 ms", "", "", ""],
      ["restore of ten", "300 ms (1.5)", "", "", ""],
    ],
  );
});
