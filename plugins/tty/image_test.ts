import { deepEqual, equal } from "@std/assert";
import { CC_COUNT } from "../../core/linux/terminal.ts";
import { packCharacters, unpackCharacters } from "./image.ts";

Deno.test("packCharacters() has the bytes of four characters in a word, as CRIU", () => {
  const cc = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0];
  const words = packCharacters(cc);
  equal(words.length, CC_COUNT);
  deepEqual(words.slice(0, 5), [360651779, 65540, 1708817, 370609938, 0]);
  deepEqual(unpackCharacters(words), cc);
});

Deno.test("unpackCharacters() passes what is behind them, and bears too few", () => {
  deepEqual(unpackCharacters([0xffffffff]).slice(0, 5), [255, 255, 255, 255, 0]);
  equal(unpackCharacters(new Array(40).fill(1)).length, CC_COUNT);
});
