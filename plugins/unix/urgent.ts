/**
 * What waits in a stream with urgent data (MSG_OOB). No call tells where in it that is on every kernel, nor what is behind
 * it: it is read out of the kernel's memory, where it is a buffer of its own in the queue (queue_oob() of
 * `net/unix/af_unix.c`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { KernelMemory } from "../../core/linux/kernel_memory.ts";
import { KernelBuffers } from "../../core/linux/net/kernel_buffers.ts";
import type { QueuedMessage } from "./queue.ts";

/**
 * Reads what waits.
 *
 * @param fd of a socket with urgent data, from which nobody may receive meanwhile
 * @returns undefined where it cannot be read, or open files come with it
 */
export function readUrgent(fd: number, memory: KernelMemory): QueuedMessage[] | undefined {
  const buffers = new KernelBuffers(memory);
  try {
    const socket = buffers.socketOf(fd);
    const urgent = buffers.field(socket, "unix_sock", "oob_skb");
    const queue: QueuedMessage[] = [];
    for (const at of buffers.list(buffers.at(socket, "sock", "sk_receive_queue"))) {
      const parameters = buffers.at(at, "sk_buff", "cb");
      if (buffers.field(parameters, "unix_skb_parms", "fp") !== 0n) return undefined;
      const consumed = buffers.number(parameters, "unix_skb_parms", "consumed", 4);
      const bytes = buffers.buffer(at).bytes.subarray(consumed);
      // One of which the urgent byte was taken stays until it is passed.
      if (bytes.byteLength === 0) continue;
      const isUrgent = at === urgent;
      queue.push({ bytes, from: new Uint8Array(0), rights: [], rightsCut: false, isUrgent });
    }
    return queue.some(({ isUrgent }) => isUrgent) ? queue : undefined;
  } catch (error) {
    if (error instanceof StasisError && error.code === "unsupported") return undefined;
    throw error;
  }
}
