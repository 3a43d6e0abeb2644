import { deepEqual, equal } from "@std/assert";
import { findOrdered } from "./kcmp.ts";

Deno.test("findOrdered() finds what is there, and where what is not there belongs", () => {
  const ordered = [2, 4, 6, 8];
  const find = (one: number) => findOrdered(ordered, (other) => one - other);
  deepEqual(find(6), { index: 2, found: true });
  deepEqual([1, 3, 7, 9].map((one) => find(one).index), [0, 1, 3, 4]);
  equal(find(5).found, false);
  deepEqual(findOrdered([], () => 0), { index: 0, found: false });
});

Deno.test("findOrdered() asks logarithmically often", () => {
  const ordered = Array.from({ length: 1024 }, (_, index) => index);
  let asked = 0;
  findOrdered(ordered, (other) => (asked++, 700.5 - other));
  equal(asked, 10);
});
