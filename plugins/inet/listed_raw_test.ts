import { deepEqual } from "node:assert/strict";
import { AF_INET, AF_INET6 } from "../../core/linux/net/inet_diag.ts";
import { parseRawSockets } from "./listed_raw.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";

Deno.test("raw sockets are told with both ends and their protocol", () => {
  const four = HEAD +
    "  253: 0800007F:00FD 0600007F:0000 01 00000000:00000000 00:00000000 00000000     0        0 11430 2 0000000000000000 0\n";
  deepEqual(parseRawSockets(four, AF_INET, true), [{
    ino: 11430,
    family: AF_INET,
    isRaw: true,
    number: 253,
    own: Uint8Array.of(127, 0, 0, 8),
    peer: Uint8Array.of(127, 0, 0, 6),
  }]);
  const zeros = "0".repeat(24);
  const six = HEAD +
    `   58: ${zeros}01000000:003A ${zeros}00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 7 2 0000000000000000 0\n`;
  deepEqual(parseRawSockets(six, AF_INET6, true)[0]?.own, new Uint8Array(16).with(15, 1));
});
