import { deepEqual, equal, throws } from "@std/assert";
import { AF_INET, inetDiagRequest, parseInetSocket, TCP } from "./inet_diag.ts";

Deno.test("inetDiagRequest() asks for all sockets of a protocol in all states", () => {
  const bytes = inetDiagRequest(AF_INET, 6);
  equal(bytes.byteLength, 72);
  equal(bytes.subarray(16, 24).toHex(), "02060000ffffffff");
  const some = inetDiagRequest(AF_INET, 6, { states: [TCP.LISTEN, TCP.BOUND_INACTIVE] });
  equal(some.subarray(16, 24).toHex(), "0206000000240000");
});

Deno.test("inetDiagRequest() has the kernel compare ports, and take who gets to the end", () => {
  const bytes = inetDiagRequest(AF_INET, 6, { ports: [80] });
  equal(bytes.byteLength, bytes[0]);
  deepEqual([...new Uint16Array(bytes.buffer, 72)], [
    // The attribute: its length, INET_DIAG_REQ_BYTECODE.
    28,
    1,
    // Is the source 80? If so, 8 bytes on; if not, 12. And there: 16 to the end.
    8 << 8 | 11,
    12,
    0,
    80,
    4 << 8 | 1,
    16,
    // Is the target? If not, past the end.
    8 << 8 | 12,
    16,
    0,
    80,
    4 << 8 | 1,
    4,
  ]);
});

Deno.test("parseInetSocket() reads an answer with its attributes", () => {
  const bytes = new Uint8Array(80);
  const view = new DataView(bytes.buffer);
  bytes.set([AF_INET, TCP.CLOSE_WAIT]);
  view.setUint16(4, 80);
  view.setUint16(6, 4711);
  bytes.set([127, 0, 0, 1], 8);
  bytes.set([10, 0, 0, 9], 24);
  view.setUint32(40, 2, true);
  view.setUint32(56, 5, true);
  view.setUint32(60, 6, true);
  view.setUint32(68, 123, true);
  // INET_DIAG_SHUTDOWN.
  bytes.set([5, 0, 8, 0, 1], 72);
  deepEqual(parseInetSocket(bytes), {
    ino: 123,
    family: AF_INET,
    state: TCP.CLOSE_WAIT,
    source: { address: Uint8Array.of(127, 0, 0, 1), port: 80 },
    target: { address: Uint8Array.of(10, 0, 0, 9), port: 4711 },
    device: 2,
    receiveQueue: 5,
    sendQueue: 6,
    shutdown: 1,
  });
  throws(() => parseInetSocket(bytes.subarray(0, 71)), RangeError);
});
