import { deepEqual, equal } from "@std/assert";
import { packetDiagRequest, parsePacketSocket } from "./packet_diag.ts";

const NO_RING = { retireTmo: 0, sizeofPriv: 0, features: 0 };

/** An attribute. */
function attribute(type: number, ...bytes: number[]): number[] {
  return [bytes.length + 4, 0, type, 0, ...bytes];
}

const word = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)];

Deno.test("parsePacketSocket() reads what the kernel tells", () => {
  const address = [1, 0, 0x5e, 1, 2, 3, ...new Array(26).fill(0)];
  // deno-fmt-ignore
  const payload = Uint8Array.of(
    17, 3, 0xb5, 0x88, ...word(4711), ...word(0), ...word(0),
    ...attribute(0, ...word(2), ...word(1), ...word(32), ...word(9), ...word(0), ...word(1 | 2 | 16)),
    ...attribute(1, ...word(2), ...word(3), 0, 0, 6, 0, ...address),
    ...attribute(4, ...word(0x1_0007)),
    ...attribute(3, ...[4096, 1, 1024, 4, 0, 0, 0].flatMap(word)),
  );
  deepEqual(parsePacketSocket(payload), {
    ino: 4711,
    type: 3,
    protocol: 0x88b5,
    index: 2,
    version: 1,
    reserve: 32,
    copyThreshold: 9,
    timestamp: 0,
    auxData: true,
    originalDevice: false,
    vnetHeader: false,
    loss: true,
    memberships: [{ index: 2, type: 0, count: 3, address: Uint8Array.of(1, 0, 0x5e, 1, 2, 3) }],
    fanout: 0x1_0007,
    receiveRing: undefined,
    sendRing: { ...NO_RING, blockSize: 4096, blockNr: 1, frameSize: 1024, frameNr: 4 },
  });
});

Deno.test("packetDiagRequest() asks for rings as well", () => {
  const bytes = packetDiagRequest();
  equal(bytes.byteLength, 36);
  equal(bytes[16], 17);
  equal(bytes[24], 15);
});
