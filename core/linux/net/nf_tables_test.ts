import { deepEqual, equal } from "@std/assert";
import { parseAttributes, parseNetlink } from "./netlink.ts";
import { batch, deleteTable, drop, encodeAttributes, newRule, newTable } from "./nf_tables.ts";

Deno.test("encodeAttributes() pads, counts in big-endian, and nests", () => {
  equal(encodeAttributes([[1, "ab"], [2, 3]]).toHex(), "0700010061620000" + "0800020000000003");
  equal(encodeAttributes([[4, [[1, 5]]]]).toHex(), "0c000480" + "0800010000000005");
});

Deno.test("batch() begins and ends, and asks for an answer to its last message alone", () => {
  const messages = parseNetlink(batch([newTable("t", true), deleteTable("t")]));
  deepEqual(messages.map(({ type }) => type), [0x10, 10 << 8, 10 << 8 | 2, 0x11]);
  deepEqual(messages.map(({ flags }) => flags & 4), [0, 0, 4, 0]);
  const attributes = parseAttributes(messages[1]!.payload, 4);
  deepEqual([...attributes.get(2)!], [0, 0, 0, 2]);
  equal(messages[1]!.payload[0], 1);
});

Deno.test("newRule() puts expressions into a chain", () => {
  const [, rule] = parseNetlink(batch([newRule("t", "input", [drop()])]));
  const attributes = parseAttributes(rule!.payload, 4);
  equal(new TextDecoder().decode(attributes.get(2)), "input\0");
});
