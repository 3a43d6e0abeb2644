import { deepEqual, throws } from "@std/assert";
import { joinWords, splitWords } from "./words.ts";

Deno.test("splitWords() and joinWords() keep all 64 bits", () => {
  deepEqual(splitWords(0x1ff_ffff_fffen), [0xfffffffe, 0x1ff]);
  deepEqual(joinWords([0xfffffffe, 0x1ff]), 0x1ff_ffff_fffen);
  deepEqual(joinWords([7]), 7n);
});

Deno.test("joinWords() refuses a third word", () => {
  throws(() => joinWords([1, 2, 3]), {
    code: "bad-image",
    message: "a set of bits in the image has 3 words, not 2",
  });
});
