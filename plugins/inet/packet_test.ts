import { equal } from "@std/assert";
import { checksum, ipHeader, pseudoHeader } from "./packet.ts";

Deno.test("checksum() is that of RFC 1071", () => {
  equal(checksum(Uint8Array.fromHex("0001f203f4f5f6f7")), 0x220d);
  // An odd byte counts as the high one.
  equal(checksum(Uint8Array.of(0x12)), 0xedff);
});

Deno.test("ipHeader() and pseudoHeader() lay out both families", () => {
  const [a, b] = [Uint8Array.of(1, 2, 3, 4), Uint8Array.of(5, 6, 7, 8)];
  equal(ipHeader(2, 17, a, b, 8).toHex(), "4500001c00000000401100000102030405060708");
  equal(pseudoHeader(17, a, b, 8).toHex(), "010203040506070800110008");
  const six = new Uint8Array(16).with(15, 1);
  equal(ipHeader(10, 6, six, six, 20).toHex(), `6000000000140640${six.toHex()}${six.toHex()}`);
});
