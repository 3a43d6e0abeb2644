import { deepEqual, equal } from "@std/assert";
import { TCP } from "../../core/linux/net/inet_diag.ts";
import type { Numbers } from "./plan_segment.ts";
import { numbersOf, sentLength } from "./plan_stream.ts";
import { sampleConnection } from "./sample_sockets.ts";

Deno.test("numbersOf() leaves out the ends of data, and counts around", () => {
  const numbers = (state: number, inqSeq: number, outqSeq: number, outqLen: number): Numbers => {
    const { socket, stream } = sampleConnection(state, { inqSeq, outqSeq, outqLen });
    return numbersOf(socket, stream);
  };
  deepEqual(numbers(TCP.ESTABLISHED, 100, 50, 20), { received: 100, acknowledged: 30 });
  // Both ends have a number like a byte.
  deepEqual(numbers(TCP.LAST_ACK, 100, 50, 20), { received: 99, acknowledged: 29 });
  deepEqual(numbers(TCP.FIN_WAIT2, 100, 50, 0), { received: 100, acknowledged: 49 });
  deepEqual(numbers(TCP.CLOSE_WAIT, 0, 5, 10), { received: 0xffffffff, acknowledged: 0xfffffffb });
});

Deno.test("sentLength() is what was sent, or what the other end has", () => {
  const { socket, stream } = sampleConnection(TCP.ESTABLISHED, {
    outqSeq: 10,
    outqLen: 100,
    unsqLen: 30,
  });
  equal(sentLength(socket, stream, undefined), 70);
  // It begins at 10 - 100, counted around.
  equal(sentLength(socket, stream, { received: 0xffffffff, acknowledged: 0 }), 89);
  equal(sentLength(socket, stream, { received: 10, acknowledged: 0 }), 100);
  // By the first look the other end had less than by the second: that is never so, and does no harm.
  equal(sentLength(socket, stream, { received: 0xffff0000, acknowledged: 0 }), 0);
});
