import { deepEqual, equal, throws } from "@std/assert";
import { NLM_F, parseNetlink } from "./netlink.ts";
import { parseUnixSocket, SOCK, SOCK_DIAG_BY_FAMILY, STATE, unixDiagRequest } from "./unix_diag.ts";

/** An answer with attributes, as the kernel pads them. */
function answer(
  [type, state, ino]: readonly [number, number, number],
  ...attributes: readonly (readonly [type: number, ...bytes: number[]])[]
): Uint8Array {
  const bytes = [1, type, state, 0, ino, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  for (const [kind, ...value] of attributes) {
    bytes.push(value.length + 4, 0, kind, 0, ...value);
    while (bytes.length % 4 !== 0) bytes.push(0);
  }
  return Uint8Array.from(bytes);
}

Deno.test("unixDiagRequest() asks for all sockets in all states", () => {
  const [request] = parseNetlink(unixDiagRequest());
  equal(request?.type, SOCK_DIAG_BY_FAMILY);
  equal(request?.flags, NLM_F.REQUEST | NLM_F.DUMP);
  // Family AF_UNIX; all states; no inode; name, file, peer, waiting, lengths.
  deepEqual([...request?.payload ?? []], [
    ...[1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  ]);
});

Deno.test("parseUnixSocket() reads an end of a pair with five bytes in its queue", () => {
  const socket = parseUnixSocket(answer(
    [SOCK.STREAM, STATE.ESTABLISHED, 9],
    [2, 8, 1, 0, 0],
    [4, 5, 0, 0, 0, 0, 3, 0, 0],
    [6, 2],
  ));
  deepEqual(socket, {
    ino: 9,
    type: 1,
    state: 1,
    name: new Uint8Array(0),
    file: undefined,
    peer: 264,
    waiting: [],
    receiveQueue: 5,
    sendQueue: 768,
    shutdown: 2,
  });
});

Deno.test("parseUnixSocket() reads a listening socket with its file and those that wait", () => {
  const socket = parseUnixSocket(answer(
    [SOCK.SEQPACKET, STATE.LISTEN, 7],
    [0, 0x2f, 0x78],
    [1, 5, 0, 0, 0, 2, 0, 0, 1],
    [3, 4, 0, 0, 0, 0, 0, 0, 0],
    [4, 2, 0, 0, 0, 128, 0, 0, 0],
  ));
  equal(new TextDecoder().decode(socket.name), "/x");
  deepEqual(socket.file, { ino: 5, dev: 0x1000002 });
  deepEqual(socket.waiting, [4, 0]);
  deepEqual([socket.receiveQueue, socket.sendQueue], [2, 128]);
});

Deno.test("parseUnixSocket() tells a closed peer from none", () => {
  equal(parseUnixSocket(answer([1, 1, 3], [2, 0, 0, 0, 0])).peer, 0);
  equal(parseUnixSocket(answer([1, 7, 3])).peer, undefined);
});

Deno.test("parseUnixSocket() refuses what is too short", () => {
  throws(() => parseUnixSocket(new Uint8Array(8)), RangeError);
});
