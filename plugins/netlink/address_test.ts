import { deepEqual, equal } from "@std/assert";
import { encodeAddress, groupNumbers, groupOf, sockaddrNl, trimGroups } from "./address.ts";

Deno.test("encodeAddress() and groupOf() name a group by its number", () => {
  for (const group of [0, 1, 17, 32]) {
    equal(groupOf(sockaddrNl.read(encodeAddress(4711, group))), group);
  }
  deepEqual([...encodeAddress(0x01020304, 2)], [16, 0, 0, 0, 4, 3, 2, 1, 2, 0, 0, 0]);
});

Deno.test("groupNumbers() counts groups from 1 on, over all words", () => {
  deepEqual(groupNumbers([0x80000001, 0, 0b10]), [1, 32, 66]);
  deepEqual(trimGroups([1, 0, 2, 0, 0]), [1, 0, 2]);
  deepEqual(trimGroups([0, 0]), []);
});
