import assert from "@std/assert";
import { doubtOf } from "./none_backend.ts";

const SIGSYS = 1n << 30n;
const OTHERS = ~SIGSYS & 0xffff_ffff_ffff_ffffn;

Deno.test("doubtOf() doubts what handles or ignores SIGSYS, and nothing else", () => {
  assert.equal(doubtOf({ sigCaught: SIGSYS, sigIgnored: 0n }), "it handles SIGSYS");
  assert.equal(doubtOf({ sigCaught: 0n, sigIgnored: SIGSYS }), "it ignores SIGSYS");
  assert.equal(doubtOf({ sigCaught: OTHERS, sigIgnored: 0n }), undefined);
  assert.equal(doubtOf({ sigCaught: 0n, sigIgnored: OTHERS }), undefined);
});
