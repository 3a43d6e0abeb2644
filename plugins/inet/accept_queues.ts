/**
 * The queues of the listening sockets of a tree that stands still, read out of the kernel's memory: what was sent by
 * connections that wait to be accepted, and which of these are over.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { eachTaken } from "../../core/checkpoint/each_taken.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { type InetSocket, TCP } from "../../core/linux/net/inet_diag.ts";
import { connectionKey } from "./connection_key.ts";
import type { SharedKernel, UnacceptedConnection } from "./kernel_sockets.ts";
import type { WaitingSight } from "./waiting_connections.ts";

/** Reads each queue once. */
export class AcceptQueues implements WaitingSight {
  readonly others: readonly InetSocket[];
  readonly #descriptors: ReadonlyMap<number, Descriptor>;
  readonly #kernel: SharedKernel;
  readonly #defers: (ino: number) => boolean;
  readonly #queues = new Map<number, readonly UnacceptedConnection[]>();

  /**
   * @param descriptors one of each socket, by inode
   * @param others the sockets of others
   * @param defers whether one that listens has connections half made until something comes (TCP_DEFER_ACCEPT), by its inode
   */
  constructor(
    descriptors: ReadonlyMap<number, Descriptor>,
    kernel: SharedKernel,
    others: readonly InetSocket[],
    defers: (ino: number) => boolean,
  ) {
    this.#descriptors = descriptors;
    this.#kernel = kernel;
    this.others = others;
    this.#defers = defers;
  }

  received(one: InetSocket, listener: InetSocket): Uint8Array<ArrayBuffer> | undefined {
    const key = connectionKey(one);
    const found = this.#queueOf(listener).filter((waiting) => connectionKey(waiting) === key);
    return found.length === 1 ? found[0]?.received : undefined;
  }

  over(listener: InetSocket): readonly UnacceptedConnection[] {
    // Where none waits, nothing needs to be read.
    if (listener.receiveQueue === 0) return [];
    const over = this.#queueOf(listener).filter(({ state }) => state === TCP.CLOSE);
    if (!this.#defers(listener.ino)) return over;
    // One by which nothing has come would be reset half made, and forgotten.
    return over.filter(({ end, received }) => end || received?.byteLength !== 0);
  }

  #queueOf({ ino }: InetSocket): readonly UnacceptedConnection[] {
    const known = this.#queues.get(ino);
    if (known !== undefined) return known;
    const descriptor = this.#descriptors.get(ino);
    let queue: readonly UnacceptedConnection[] = [];
    try {
      eachTaken(descriptor === undefined ? [] : [descriptor], (_, fd) => {
        queue = this.#kernel.open()?.acceptQueue(fd) ?? [];
      });
    } catch (error) {
      if (!(error instanceof StasisError && error.code === "unsupported")) throw error;
    }
    this.#queues.set(ino, queue);
    return queue;
  }
}
