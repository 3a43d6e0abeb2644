import assert from "@std/assert";
import { heldBackNote } from "./held_back.ts";

const NOON = 1_800_000_000;

Deno.test("heldBackNote() says nothing while the other ends wait, or where there are none", () => {
  assert.equal(heldBackNote(NOON, NOON + 900, 3), undefined);
  assert.equal(heldBackNote(NOON, NOON + 7200, 0), undefined);
  // Images of before that was noted, and a clock that was set back.
  assert.equal(heldBackNote(0, NOON, 3), undefined);
  assert.equal(heldBackNote(NOON, NOON - 86_400, 3), undefined);
});

Deno.test("heldBackNote() says for how long, and what it means", () => {
  assert.match(
    heldBackNote(NOON, NOON + 3660, 1) ?? "",
    /^the packets of 1 connection .* for 61 minutes: /,
  );
  assert.match(
    heldBackNote(NOON, NOON + 7200, 2) ?? "",
    /^the packets of 2 connections .* for 2 hours: .*ECONNRESET/,
  );
  assert.match(heldBackNote(NOON, NOON + 3 * 86_400, 2) ?? "", / for 3 days: /);
});
