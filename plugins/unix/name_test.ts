import { deepEqual, equal, notEqual } from "@std/assert";
import { nameKey, nameText, pathOf, sockaddr } from "./name.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("nameText() shows paths, abstract names and what is no text", () => {
  equal(nameText(bytes("/run/a socket")), "/run/a\\x20socket");
  equal(nameText(bytes("/run/x\0")), "/run/x");
  equal(nameText(bytes("\0abc\0d\n")), "@abc\\x00d\\x0a");
  equal(nameText(bytes("")), "(none)");
});

Deno.test("pathOf() gives paths without the zero at their end, and nothing for other names", () => {
  equal(pathOf(bytes("/run/x\0")), "/run/x");
  equal(pathOf(bytes("x")), "x");
  equal(pathOf(bytes("\0x")), undefined);
  equal(pathOf(bytes("")), undefined);
  equal(pathOf(Uint8Array.of(0x2f, 0xff)), "/\udcff");
});

Deno.test("sockaddr() puts the family before the name", () => {
  deepEqual([...sockaddr(bytes("\0x"))], [1, 0, 0, 0x78]);
});

Deno.test("nameKey() is the same for a path with and without a zero, and not for abstract names", () => {
  equal(nameKey(bytes("/x\0")), nameKey(bytes("/x")));
  notEqual(nameKey(bytes("\0x\0")), nameKey(bytes("\0x")));
});
