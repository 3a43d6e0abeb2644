import assert from "@std/assert";
import { sameText } from "./same_text.ts";

Deno.test("sameText() gives what it is given, also of more texts than it knows", () => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 1000; i++) assert.equal(sameText(`text ${i}`), `text ${i}`);
  }
});
