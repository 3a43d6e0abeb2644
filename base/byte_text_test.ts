import { deepEqual, equal, throws } from "@std/assert";
import { decodeBytes, encodeBytes, printable, printableName } from "./byte_text.ts";

Deno.test("decodeBytes() and encodeBytes() lose no byte, whatever the bytes", () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = seed * 1103515245 + 12345 & 0x7fffffff;
    return (seed >> 8) % below;
  };
  const pieces = [
    [0x61],
    [0xc3, 0xa4],
    [0xe2, 0x82, 0xac],
    [0xf0, 0x9f, 0x92, 0xa9],
    [0xef, 0xbb, 0xbf],
    [0xef, 0xbf, 0xbd],
    [0xed, 0xb2, 0x80],
    [0xed, 0xa0, 0x80],
    [0xc0, 0x80],
    [0xf5],
    [0x0a],
  ];
  for (let round = 0; round < 2000; round++) {
    const bytes: number[] = [];
    for (let count = random(8); count >= 0; count--) {
      if (random(3) === 0) bytes.push(random(256));
      else bytes.push(...pieces[random(pieces.length)] as number[]);
    }
    const text = decodeBytes(Uint8Array.from(bytes));
    deepEqual([...encodeBytes(text)], bytes);
  }
});

Deno.test("decodeBytes() gives different strings for different bytes", () => {
  const texts = [[0xff], [0xfe], [0xef, 0xbf, 0xbd], [0xed, 0xb3, 0xbf], [0xff, 0x61]]
    .map((bytes) => decodeBytes(Uint8Array.from(bytes)));
  equal(new Set(texts).size, texts.length);
  equal(texts[0], "\udcff");
});

Deno.test("decodeBytes() keeps what is UTF-8 as it is, a byte order mark too", () => {
  equal(decodeBytes(new TextEncoder().encode("\ufeffä€💩\n")), "\ufeffä€💩\n");
});

Deno.test("encodeBytes() refuses surrogates that stand for no byte", () => {
  throws(() => encodeBytes("a\ud800"), TypeError);
  throws(() => encodeBytes("a\udc7f"), TypeError);
});

Deno.test("printable() and printableName() show every byte and no control character", () => {
  equal(printable("a\udcff\x01\nü\\💩"), "a\\xff\\x01\nü\\💩");
  equal(printable("\x7f\u009b31m\u00a0"), "\\x7f\\u009b31m\u00a0");
  equal(printable("a\u202egpj\u2028\ufeff"), "a\\u202egpj\\u2028\\ufeff");
  equal(printableName("a\udc80\n\\n\x1b"), "a\\x80\\n\\\\n\\x1b");
});
