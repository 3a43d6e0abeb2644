import { deepEqual, equal } from "@std/assert";
import {
  addressText,
  decodeAddress,
  encodeAddress,
  endText,
  fromWords,
  isMapped,
  needsScope,
  toWords,
} from "./address.ts";

const six = (hex: string): Uint8Array => Uint8Array.fromHex(hex.padStart(32, "0"));

Deno.test("encodeAddress() and decodeAddress() agree, and give the bytes of struct sockaddr", () => {
  const four = { family: 2, port: 80, bytes: Uint8Array.of(127, 0, 0, 1), scope: 0 };
  equal(encodeAddress(four).toHex(), "020000507f0000010000000000000000");
  deepEqual(decodeAddress(encodeAddress(four)), four);
  const link = {
    family: 10,
    port: 81,
    bytes: Uint8Array.fromHex("fe80" + "00".repeat(13) + "01"),
    scope: 3,
  };
  deepEqual(decodeAddress(encodeAddress(link)), link);
  equal(decodeAddress(Uint8Array.of(1, 0, 47)), undefined);
});

Deno.test("toWords() and fromWords() keep the order in memory", () => {
  deepEqual(toWords(Uint8Array.of(127, 0, 0, 1)), [0x0100007f]);
  deepEqual(fromWords(2, [0x0100007f, 0, 0, 0]), Uint8Array.of(127, 0, 0, 1));
  deepEqual(toWords(fromWords(10, [1, 2, 3, 4])), [1, 2, 3, 4]);
});

Deno.test("addressText() writes addresses as people do", () => {
  equal(addressText(six("1")), "::1");
  equal(addressText(six("0")), "::");
  equal(addressText(Uint8Array.fromHex("20010db8000000000000000000000001")), "2001:db8::1");
  equal(addressText(Uint8Array.fromHex("20010000000100000000000000010002")), "2001:0:1::1:2");
  equal(endText(six("ffff7f000001"), 8), "[::ffff:127.0.0.1]:8");
  equal(isMapped(six("ffff7f000001")), true);
  equal(needsScope(Uint8Array.fromHex("fe80" + "00".repeat(14))), true);
  equal(needsScope(six("1")), false);
});
