import { deepEqual, equal } from "@std/assert";
import { readNumber, setNumber, SO } from "../../core/linux/net/socket_options.ts";
import { TCP } from "../../core/linux/net/inet_diag.ts";
import { connectPair } from "./sample_connection.ts";
import { readReceived, readSent } from "./tcp_stream.ts";

/** Repair mode takes CAP_NET_ADMIN. */
const ignore = Deno.uid() !== 0;

Deno.test({
  name: "readSent() and readReceived() tell what is in a connection, and leave it there",
  ignore,
  fn: tellsAndLeaves,
});

function tellsAndLeaves(): void {
  using pair = connectPair();
  setNumber(pair.server, SO.REUSEADDR, 1);
  pair.send(pair.client, Uint8Array.of(1, 2, 3));
  const note = () => ({ erase() {} });
  const sent = readSent(pair.client, note);
  const received = readReceived(pair.server, note);
  equal(sent.info.state, TCP.ESTABLISHED);
  deepEqual([...received.bytes], [1, 2, 3]);
  equal(received.sequence, sent.sequence);
  // What was acknowledged is not there any more.
  deepEqual([sent.bytes.byteLength, sent.unsent], [0, 0]);
  equal(readNumber(pair.server, SO.REUSEADDR), 1);
  equal(readNumber(pair.client, SO.REUSEADDR), 0);
  deepEqual([...pair.receive(pair.server)], [1, 2, 3]);
}
