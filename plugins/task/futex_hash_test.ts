import { equal } from "@std/assert";
import { isAutomatic } from "./futex_hash.ts";

Deno.test("isAutomatic() knows what the kernel chooses by itself from what a program asked for", () => {
  equal(isAutomatic(0, 1, 2), true); // no thread was ever made
  equal(isAutomatic(0, 3, 2), false); // the common hash, by request
  equal(isAutomatic(16, 1, 2), true); // there were threads
  equal(isAutomatic(16, 100, 2), true);
  equal(isAutomatic(8, 100, 2), false);
  equal(isAutomatic(32, 100, 2), false);
  equal(isAutomatic(256, 100, 64), true);
  equal(isAutomatic(512, 100, 64), false);
});
