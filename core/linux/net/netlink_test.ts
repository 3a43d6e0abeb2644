import { deepEqual, equal, throws } from "@std/assert";
import { NLMSG, parseAttributes, parseNetlink } from "./netlink.ts";

Deno.test("parseNetlink() takes messages apart, padding included", () => {
  const bytes = Uint8Array.of(
    ...[18, 0, 0, 0, 20, 0, 2, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7, 8, 0, 0],
    ...[16, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0],
  );
  const [first, second, ...more] = parseNetlink(bytes);
  deepEqual([first?.type, first?.flags, [...first?.payload ?? []]], [20, 2, [7, 8]]);
  deepEqual([second?.type, second?.payload.byteLength], [NLMSG.DONE, 0]);
  equal(more.length, 0);
});

Deno.test("parseNetlink() does not read past the end, nor go round in circles", () => {
  throws(() => parseNetlink(Uint8Array.of(99, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)));
  throws(() => parseNetlink(new Uint8Array(16)), RangeError);
  throws(() => parseNetlink(new Uint8Array(7)), RangeError);
});

Deno.test("parseAttributes() reads attributes by type", () => {
  const payload = Uint8Array.of(1, 2, 3, 4, 5, 0, 6, 0, 3, 0, 0, 0, 8, 0, 2, 0, 1, 0, 0, 0);
  const attributes = parseAttributes(payload, 4);
  deepEqual([...attributes].map(([type, bytes]) => [type, ...bytes]), [[6, 3], [2, 1, 0, 0, 0]]);
});

Deno.test("parseAttributes() does not read past the end", () => {
  throws(() => parseAttributes(Uint8Array.of(9, 0, 1, 0, 5), 0), RangeError);
  throws(() => parseAttributes(Uint8Array.of(2, 0, 1, 0), 0), RangeError);
});
