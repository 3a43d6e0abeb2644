/**
 * Fifos that were opened for reading, without waiting for a writer, and have had none since: poll(2) says nothing of
 * them, where it says POLLHUP when writers have come and gone (pipe_poll() of `fs/pipe.c`: each opening for reading
 * remembers how many writers there have been). A restore that opened such a fifo for writing, to fill it or only not
 * to wait, would be that writer.
 *
 * @module
 */
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { bytesWaiting, O } from "../../core/linux/fcntl.ts";
import { POLL, pollNow } from "../../core/linux/net/socket_options.ts";

/** An open file description of a fifo. */
interface OpenFifo {
  /** Its id in the images. */
  readonly id: number;
  readonly path: string;
  readonly writes: boolean;
  /** Of a reading end: a writer has left, or something is there to be read. */
  readonly wasWritten: boolean;
}

/** What is known of all fifos of a tree. */
export class UnwrittenFifos {
  readonly #fifos = new Map<number, OpenFifo[]>();

  /** Looks at an open fifo. @param fd a duplicate of it here */
  look(pipeId: number, id: number, { info, link }: Descriptor, fd: number): void {
    const writes = (info.flags & O.ACCMODE) !== O.RDONLY;
    const wasWritten = !writes && ((pollNow(fd) & POLL.HUP) !== 0 || bytesWaiting(fd) > 0);
    const opened = { id, path: link.text, writes, wasWritten };
    const others = this.#fifos.get(pipeId);
    if (others === undefined) this.#fifos.set(pipeId, [opened]);
    else others.push(opened);
  }

  /** The ids of those that wait for their first writer, and can be restored so. */
  get ids(): number[] {
    return this.#waiting.filter((opened) => opened.every(({ wasWritten }) => !wasWritten))
      .flatMap((opened) => opened.map(({ id }) => id));
  }

  /** The paths of those that wait, while others have the same fifo open and have seen a writer leave. */
  get mixed(): string[] {
    return this.#waiting.filter((opened) =>
      opened.some(({ wasWritten }) => wasWritten) && opened.some(({ wasWritten }) => !wasWritten)
    ).flatMap(([first]) => first?.path ?? []);
  }

  /** Those that nobody has open for writing. */
  get #waiting(): OpenFifo[][] {
    return [...this.#fifos.values()].filter((opened) => opened.every(({ writes }) => !writes));
  }
}
