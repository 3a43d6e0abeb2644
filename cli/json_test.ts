import assert from "@std/assert";
import { toJson } from "./json.ts";

Deno.test("toJson() keeps every digit of a bigint, as a number", () => {
  const text = toJson({ a: 18446744073709551615n, b: [1n, 2], c: "3", d: undefined });
  assert.equal(text.replace(/\s/g, ""), '{"a":18446744073709551615,"b":[1,2],"c":"3"}');
});
