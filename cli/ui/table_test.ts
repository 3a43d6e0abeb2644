import assert from "@std/assert";
import { table, width } from "./table.ts";

Deno.test("table() aligns columns and leaves no spaces at the end", () => {
  assert.deepEqual(
    table([["1", "ab", "x"], ["100", "c", ""]], ["right"]),
    ["  1  ab  x", "100  c"],
  );
});

Deno.test("width() does not count colour", () => {
  assert.equal(width("\x1b[1mäb\x1b[22m"), 2);
  assert.deepEqual(table([["\x1b[1ma\x1b[22m", "b"], ["cc", "d"]]), [
    "\x1b[1ma\x1b[22m   b",
    "cc  d",
  ]);
});
