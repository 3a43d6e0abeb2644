import { equal } from "@std/assert";
import { ownEnd } from "./own_end.ts";

Deno.test("ownEnd() is the status of who exits by itself", () => {
  for (const code of [0, 1, 127, 128, 137, 255]) equal(ownEnd({ code }), code);
});

Deno.test("ownEnd() takes who exits as by Ctrl-C, or by another wish that it end, for one that was killed", () => {
  for (const code of [129, 130, 131, 143]) equal(ownEnd({ code }), undefined);
  equal(ownEnd({ signal: 9 }), undefined);
  equal(ownEnd({}), undefined);
});
