import { equal } from "@std/assert";
import { closedMessages, lockMessages } from "./network_lock.ts";

const end = (bytes: Uint8Array, port: number) => ({ bytes, port });
const FOUR = Uint8Array.of(127, 0, 0, 1);
const SIX = new Uint8Array(16).with(15, 1);
/** NFT_MSG_NEWRULE. */
const NEWRULE = 6;

/** How many rules hold back so many connections. */
function rules(count: number, bytes: Uint8Array): number {
  const connections = Array.from({ length: count }, (_, index) => ({
    own: end(bytes, 80),
    peer: end(bytes, 1024 + index),
  }));
  return lockMessages("t", connections, false).filter(({ type }) => type === NEWRULE).length;
}

Deno.test("lockMessages() has one rule for each direction, however many connections there are", () => {
  equal(rules(1, FOUR), 2);
  equal(rules(2000, FOUR), 2);
  equal(rules(2000, SIX), 2);
});

Deno.test("lockMessages() takes IPv4 over IPv6 for IPv4, as packets are", () => {
  const mapped = new Uint8Array(16);
  mapped.set([0xff, 0xff, 127, 0, 0, 1], 10);
  const messages = (bytes: Uint8Array) =>
    JSON.stringify(lockMessages("t", [{ own: end(bytes, 1), peer: end(bytes, 2) }], true));
  equal(messages(mapped), messages(FOUR));
});

Deno.test("closedMessages() has a rule for each family that somebody listens at", () => {
  const rules = (...addresses: Uint8Array[]) =>
    closedMessages("t", addresses.map((bytes) => ({ bytes, port: 80 })))
      .filter(({ type }) => type === NEWRULE).length;
  equal(rules(FOUR), 1);
  equal(rules(FOUR, SIX), 2);
  equal(rules(new Uint8Array(4)), 1);
  // Any address of IPv6 is one of IPv4 as well.
  equal(rules(new Uint8Array(16)), 2);
  equal(rules(FOUR, FOUR, new Uint8Array(4)), 2);
});
