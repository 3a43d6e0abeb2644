import assert from "@std/assert";
import { formatBytes, formatMs, plural } from "./units.ts";

Deno.test("formatBytes() has two or three digits", () => {
  const cases: [bigint, string][] = [
    [0n, "0 B"],
    [1023n, "1023 B"],
    [1024n, "1.0 KiB"],
    [10n << 10n, "10 KiB"],
    [(1n << 20n) - 1n, "1.0 MiB"],
    [5n << 29n, "2.5 GiB"],
    [1n << 62n, "4096 PiB"],
  ];
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
});

Deno.test("formatMs() changes to seconds where they are", () => {
  assert.equal(formatMs(3.44), "3.4 ms");
  assert.equal(formatMs(9.96), "10 ms");
  assert.equal(formatMs(999.6), "1.00 s");
  assert.equal(formatMs(12345), "12.35 s");
});

Deno.test("plural() knows one from many", () => {
  assert.equal(plural(1, "thread"), "1 thread");
  assert.equal(plural(0n, "process", "processes"), "0 processes");
});
