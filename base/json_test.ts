import assert from "@std/assert";
import { toJson, withJson } from "./json.ts";

Deno.test("toJson() keeps every digit of a bigint, as a number", () => {
  const text = toJson({ a: 18446744073709551615n, b: [1n, 2], c: "3", d: undefined });
  assert.equal(text.replace(/\s/g, ""), '{"a":18446744073709551615,"b":[1,2],"c":"3"}');
});

Deno.test("withJson() makes a value with a bigint fit for JSON.stringify(), and leaves it as it was", () => {
  const value = withJson({ pid: 7, bytes: 18446744073709551615n, taken: [1] });
  assert.equal(JSON.stringify(value), '{"pid":7,"bytes":18446744073709551615,"taken":[1]}');
  assert.deepEqual(value, { pid: 7, bytes: 18446744073709551615n, taken: [1] });
});
