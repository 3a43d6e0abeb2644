import { create } from "@bufbuild/protobuf";
import { equal, throws } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { AF_INET, AF_INET6, IPPROTO, TCP } from "../../core/linux/net/inet_diag.ts";
import {
  inet_extra_entrySchema,
  type inet_sk_entry,
  inet_sk_entrySchema,
  tcp_stream_entrySchema,
} from "../../images/gen/inet_pb.ts";
import { checkSocket, checkStream } from "./image_checks.ts";
import { isTableName, tableName } from "./network_lock.ts";
import type { Option } from "./options.ts";
import { SOCK } from "./protocol.ts";

const STREAM = { family: AF_INET, type: SOCK.STREAM, proto: IPPROTO.TCP };
const DATAGRAM = { family: AF_INET, type: SOCK.DGRAM, proto: IPPROTO.UDP };

function check(init: Partial<inet_sk_entry>, more: readonly Option[] = []): void {
  const entry = create(inet_sk_entrySchema, { ino: 7, state: TCP.CLOSE, ...init } as inet_sk_entry);
  checkSocket(entry, create(inet_extra_entrySchema, { more: [...more] }), "images");
}

function refuses(message: RegExp, act: () => void): void {
  throws(act, (error: unknown) => {
    return error instanceof StasisError && message.test(`${error.code}: ${error.message}`);
  });
}

Deno.test("checkSocket() refuses states that no program has a socket in", () => {
  for (const state of [TCP.ESTABLISHED, TCP.SYN_SENT, TCP.LAST_ACK, TCP.LISTEN, TCP.CLOSING]) {
    check({ ...STREAM, state });
  }
  for (const state of [0, TCP.SYN_RECV, TCP.TIME_WAIT, TCP.NEW_SYN_RECV, 99]) {
    refuses(/^bad-image: .* is in state \d+$/, () => check({ ...STREAM, state }));
  }
  check({ ...DATAGRAM, state: TCP.ESTABLISHED });
  refuses(/is in state 10$/, () => check({ ...DATAGRAM, state: TCP.LISTEN }));
});

Deno.test("checkSocket() refuses ports and protocols that there are not", () => {
  check({ ...STREAM, srcPort: 65535, dstPort: 65535 });
  refuses(/has port 65536$/, () => check({ ...STREAM, srcPort: 65536 }));
  refuses(/has port 65616$/, () => check({ ...DATAGRAM, dstPort: 65616 }));
  // MPTCP.
  refuses(/of type 1 and protocol 262$/, () => check({ ...STREAM, proto: 262 }));
  refuses(/of type 5 and protocol 6$/, () => check({ ...STREAM, type: 5 }));
  check({ family: AF_INET6, type: SOCK.RAW, proto: 89 });
});

Deno.test("checkSocket() refuses options that no checkpoint saves", () => {
  const option = (level: number, name: number, size = 4): Option => ({
    level,
    name,
    value: new Uint8Array(size),
  });
  // IP_TOS, TCP_NODELAY, TCP_MAXSEG, and groups that a datagram socket has joined.
  check(STREAM, [option(0, 1), option(6, 1), option(6, 2)]);
  check(DATAGRAM, [option(0, 1), option(0, 42, 136), option(0, 46, 264), option(0, 48, 144)]);
  const refused: [Partial<inet_sk_entry>, Option][] = [
    // TCP_REPAIR, TCP_ULP, IPT_SO_SET_REPLACE, SO_ATTACH_BPF.
    [STREAM, option(6, 19)],
    [STREAM, option(6, 31)],
    [STREAM, option(0, 64)],
    [STREAM, option(1, 50)],
    [STREAM, option(0, 42, 136)],
    [DATAGRAM, option(6, 1)],
    [DATAGRAM, option(0, 1, 5)],
    [DATAGRAM, option(0, 42, 8)],
    [DATAGRAM, option(41, 42, 136)],
  ];
  for (const [kind, one] of refused) {
    refuses(/^bad-image: .* has option \d+ of level \d+/, () => check(kind, [one]));
  }
});

Deno.test("checkStream() refuses numbers that a connection cannot have", () => {
  const check = (init: object) => () => checkStream(create(tcp_stream_entrySchema, init), "image");
  check({ outqLen: 5, unsqLen: 5, sndWscale: 14, rcvWscale: 14 })();
  refuses(/has 6 of 5 bytes to be sent$/, check({ outqLen: 5, unsqLen: 6 }));
  refuses(/has window scale 15$/, check({ rcvWscale: 15 }));
});

Deno.test("isTableName() knows the names of this tool's tables from others", () => {
  for (let time = 0; time < 20; time++) equal(isTableName(tableName()), true);
  for (const name of ["filter", "stasis-", "stasis-bf836fd4762", "xstasis-bf836fd47627", ""]) {
    equal(isTableName(name), false, name);
  }
});
