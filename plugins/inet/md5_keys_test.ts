import { deepEqual, equal } from "@std/assert";
import { AF_INET, AF_INET6 } from "../../core/linux/net/inet_diag.ts";
import { MD5_KEY_SIZE, md5Options } from "./md5_keys.ts";

/** What the kernel tells of the key "key" for an address. */
function told(family: number, prefix: number, address: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(100);
  bytes.set([family, prefix, 3, 0]);
  bytes.set(address, 4);
  bytes.set(new TextEncoder().encode("key"), 20);
  return bytes;
}

Deno.test("md5Options() gives each key to its address and prefix, of IPv4 in a socket of IPv6, too", () => {
  const four = [10, 0, 0, 0], six = Array.from({ length: 16 }, (_, index) => index + 1);
  const both = new Uint8Array([...told(AF_INET, 8, four), ...told(AF_INET6, 128, six)]);
  const [mapped, own] = md5Options(AF_INET6, both).map(({ value }) => value);
  deepEqual([...mapped?.slice(0, 2) ?? []], [AF_INET6, 0]);
  deepEqual([...mapped?.slice(8, 24) ?? []], [...Array(10).fill(0), 0xff, 0xff, ...four]);
  deepEqual([...own?.slice(8, 24) ?? []], six);
  // The flag that there is a prefix, the prefix, and how long the key is.
  deepEqual([...mapped?.slice(128, 132) ?? []], [1, 8, 3, 0]);
  deepEqual([...own?.slice(128, 132) ?? []], [1, 128, 3, 0]);
  const [plain] = md5Options(AF_INET, told(AF_INET, 32, four));
  deepEqual([...plain?.value.slice(4, 8) ?? []], four);
  equal(new TextDecoder().decode(plain?.value.slice(136, 140)), "key\0");
  equal(plain?.value.byteLength, MD5_KEY_SIZE);
});
