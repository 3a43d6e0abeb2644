/**
 * What was sent to connections that wait to be accepted: it lies in ends that nobody has a descriptor of, and is read out
 * of the kernel's memory. A listening socket has a message for each of them in its queue, in their order
 * (unix_stream_connect() of `net/unix/af_unix.c`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { KernelMemory } from "../../core/linux/kernel_memory.ts";
import { KernelBuffers } from "../../core/linux/net/kernel_buffers.ts";
import { STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";

/** The messages that were sent to a connection; undefined where they cannot be read, or are more than bytes. */
export type Sent = readonly Uint8Array<ArrayBuffer>[] | undefined;

/** Reads what was sent to the connections that wait at a listening socket, in their order. */
export function readSent(fd: number, memory: KernelMemory): Sent[] {
  const buffers = new KernelBuffers(memory);
  try {
    const requests = buffers.list(
      buffers.at(buffers.socketOf(fd), "sock", "sk_receive_queue"),
    );
    return requests.map((request) => messagesOf(buffers, buffers.field(request, "sk_buff", "sk")));
  } catch (error) {
    if (error instanceof StasisError && error.code === "unsupported") return [];
    throw error;
  }
}

/** What lies in the end that is to be accepted. */
function messagesOf(buffers: KernelBuffers, socket: bigint): Sent {
  // Urgent data.
  if (buffers.field(socket, "unix_sock", "oob_skb") !== 0n) return undefined;
  const messages = buffers.list(buffers.at(socket, "sock", "sk_receive_queue"));
  const hasFiles = messages.some((at) =>
    buffers.field(buffers.at(at, "sk_buff", "cb"), "unix_skb_parms", "fp") !== 0n
  );
  return hasFiles ? undefined : messages.map((at) => buffers.buffer(at).bytes);
}

/** The listening sockets of a tree at which somebody waits that has closed, or has sent something. Pure. */
export function withSomething(
  sockets: ReadonlyMap<number, UnixSocket>,
  inside: ReadonlySet<number>,
): UnixSocket[] {
  return [...inside].flatMap((ino) => sockets.get(ino) ?? []).filter(({ state, waiting }) =>
    state === STATE.LISTEN &&
    waiting.some((client) =>
      client === 0 || inside.has(client) && (sockets.get(client)?.sendQueue ?? 0) > 0
    )
  );
}
