/**
 * The connections of a tree while it stands still: read, held back where somebody outside is at the other end, and made
 * ready for the end of the tree.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { noteWith } from "../../core/checkpoint/noted_socket.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import type { HoldContext } from "../../core/plugin.ts";
import { eachTaken, inodeOf } from "../../core/checkpoint/each_taken.ts";
import { SharedKernel } from "./kernel_sockets.ts";
import {
  type Connection,
  lockMessages,
  NetworkLock,
  openingCalls,
  tableName,
} from "./network_lock.ts";
import {
  readReceived,
  readSent,
  type ReceivedPart,
  repairForGood,
  repairingCalls,
  type SentPart,
  unrepairingCalls,
} from "./tcp_stream.ts";

/** How often connections are looked at again whose state has changed between the two looks. */
const ATTEMPTS = 20;

/** A connection of the tree. */
export interface HeldConnection extends Connection {
  readonly descriptor: Descriptor;
  /** Whether it has SO_REUSEADDR. */
  readonly reuse: boolean;
  /** Whether it has received urgent data, which is read out of the kernel's memory. */
  readonly hasUrgent: boolean;
  /** Whether its other end is outside of the tree. */
  readonly isOutside: boolean;
}

/** What a connection has. */
export interface Stream {
  readonly sent: SentPart;
  readonly received: ReceivedPart;
}

/** Goes on where the kernel refuses something. */
function unlessRefused(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
  }
}

/** What the kernel's memory tells; undefined where it does not. */
function whereReadable<Told>(read: () => Told): Told | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof StasisError && error.code === "unsupported") return undefined;
    throw error;
  }
}

/** The connections of one checkpoint. */
export class HeldConnections {
  /** By the inodes of their sockets. */
  readonly streams = new Map<number, Stream>();
  /** The name of the table that holds back packets; undefined where none are. */
  readonly table: string | undefined;
  readonly #connections: readonly HeldConnection[];
  readonly #lock: NetworkLock | undefined;
  readonly #rescuer: HoldContext["rescuer"];
  #ended = false;

  /**
   * Reads them, each in repair mode for a moment; the guardian knows how that is ended.
   *
   * @param toEnd whether the tree is to end: then packets from and to outside are held back from now on
   * @throws {StasisError} `syscall`, `kernel-too-old`, `no-privilege`
   */
  constructor(
    connections: readonly HeldConnection[],
    toEnd: boolean,
    { tree, rescuer, undo }: HoldContext,
  ) {
    this.#connections = connections;
    this.#rescuer = rescuer;
    const outside = toEnd ? connections.filter(({ isOutside }) => isOutside) : [];
    const [root] = tree.tasks;
    if (outside.length > 0 && root !== undefined) {
      const table = this.table = tableName();
      const noted = rescuer.noteOutside({ pid: root.pid, calls: openingCalls(table) });
      undo.defer(() => noted.erase());
      const lock = this.#lock = new NetworkLock(table, lockMessages(table, outside, false));
      undo.defer(() => {
        if (this.#ended) lock.leave();
        else lock.open();
      });
    }
    const notes = connections.map(({ descriptor, reuse }) =>
      rescuer.noteOutside({
        pid: descriptor.carrier,
        calls: unrepairingCalls(descriptor, Number(reuse)),
      })
    );
    this.#read();
    for (const note of notes.reverse()) note.erase();
    if (!toEnd) return;
    for (const { descriptor } of connections) {
      const noted = rescuer.noteEnd(repairingCalls(descriptor));
      undo.defer(() => noted.erase());
    }
  }

  /** Has the connections closed without a word to the other ends when the tree is killed. */
  end(): void {
    this.#ended = true;
    const descriptors = this.#connections.map(({ descriptor }) => descriptor);
    for (const own of Map.groupBy(descriptors, ({ pid }) => pid).values()) {
      // Those of a process that somebody has killed are closed already; what others have is ended all the same.
      unlessRefused(() =>
        eachTaken(own, (_, fd) => {
          // It has been reset meanwhile.
          unlessRefused(() => repairForGood(fd));
        })
      );
    }
  }

  #read(): void {
    using kernel = new SharedKernel();
    const urgent = new Set(
      this.#connections.filter(({ hasUrgent }) => hasUrgent).map(({ descriptor }) =>
        inodeOf(descriptor)
      ),
    );
    const readUrgent = (fd: number) => kernel.open()?.urgent(fd);
    const readUrgentSent = (fd: number) => whereReadable(() => kernel.open()?.urgentSent(fd));
    let left = this.#connections.map(({ descriptor }) => descriptor);
    for (let attempt = 0; left.length > 0 && attempt < ATTEMPTS; attempt++) {
      const sent = new Map<number, SentPart>();
      eachTaken(left, (descriptor, fd) => {
        sent.set(
          inodeOf(descriptor),
          readSent(fd, noteWith(this.#rescuer, descriptor), readUrgentSent),
        );
      });
      const changed: Descriptor[] = [];
      eachTaken(left, (descriptor, fd) => {
        const ino = inodeOf(descriptor);
        const first = sent.get(ino) as SentPart;
        const received = readReceived(
          fd,
          noteWith(this.#rescuer, descriptor),
          urgent.has(ino) ? readUrgent : undefined,
        );
        this.streams.set(ino, { sent: first, received });
        if (received.info.state !== first.info.state) changed.push(descriptor);
      });
      // What one of them has sent another one may have received: all are looked at again.
      if (changed.length === 0) return;
      left = this.#connections.map(({ descriptor }) => descriptor);
    }
    if (left.length === 0) return;
    throw new StasisError("syscall", "connections of the tree change while it stands still", {
      hint: "try again",
    });
  }
}
