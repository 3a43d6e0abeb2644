import { deepEqual, equal } from "node:assert/strict";
import { AF_INET, AF_INET6, IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { ipHeader } from "./packet.ts";
import { SOCK } from "./protocol.ts";
import { getsToo, packetProblem, parsePacket } from "./raw_packet.ts";

const LOCAL = Uint8Array.of(127, 0, 0, 1), OTHER = Uint8Array.of(10, 0, 0, 7);
const ANY = new Uint8Array(4);

function packetOf(protocol: number, payload: Uint8Array): Uint8Array {
  return Uint8Array.from([
    ...ipHeader(AF_INET, protocol, OTHER, LOCAL, payload.length),
    ...payload,
  ]);
}

Deno.test("a packet is read with what it says of itself, and refused where that is not so", () => {
  const payload = Uint8Array.of(1, 2, 3);
  const packet = packetOf(253, payload);
  deepEqual(parsePacket(packet), {
    family: AF_INET,
    protocol: 253,
    source: OTHER,
    target: LOCAL,
    payload,
  });
  equal(parsePacket(packet.subarray(0, 22)), undefined);
  equal(parsePacket(new Uint8Array(0)), undefined);
  const six = ipHeader(AF_INET6, 253, new Uint8Array(16), new Uint8Array(16), 0);
  equal(parsePacket(six)?.protocol, 253);
});

Deno.test("packets are put into sockets again that the kernel does nothing with", () => {
  const raw = (protocol: number) => ({ family: AF_INET, type: SOCK.RAW, protocol });
  const echo = { family: AF_INET, type: SOCK.DGRAM, protocol: IPPROTO.ICMP };
  const reply = packetOf(1, Uint8Array.of(0, 0, 0, 0, 1, 2, 0, 0));
  const request = packetOf(1, Uint8Array.of(8, 0, 0, 0, 1, 2, 0, 0));
  equal(packetProblem(raw(253), 0, packetOf(253, ANY)), undefined);
  equal(packetProblem(raw(1), 0, reply), undefined);
  equal(packetProblem(echo, 0x102, reply), undefined);
  equal(packetProblem(echo, 0x103, reply), "which are not for its identifier");
  equal(packetProblem(raw(252), 0, packetOf(253, ANY)), "which are not as they were sent");
  for (
    const [protocol, packet] of [[1, request], [6, packetOf(6, ANY)], [
      17,
      packetOf(17, ANY),
    ]] as const
  ) {
    equal(packetProblem(raw(protocol), 0, packet), "which the kernel would take for its own, too");
  }
});

Deno.test("a packet gets to raw sockets of its protocol and its ends, and to the ICMP socket of its identifier", () => {
  const packet = parsePacket(packetOf(1, Uint8Array.of(0, 0, 0, 0, 1, 2, 0, 0)))!;
  const raw = { ino: 1, family: AF_INET, isRaw: true, number: 1, own: ANY, peer: ANY };
  equal(getsToo(raw, packet), true);
  equal(getsToo({ ...raw, number: 2 }, packet), false);
  equal(getsToo({ ...raw, own: LOCAL, peer: OTHER }, packet), true);
  equal(getsToo({ ...raw, own: OTHER }, packet), false);
  equal(getsToo({ ...raw, peer: LOCAL }, packet), false);
  equal(getsToo({ ...raw, isRaw: false, number: 0x102 }, packet), true);
  equal(getsToo({ ...raw, isRaw: false, number: 0x103 }, packet), false);
});
