/**
 * Contents of pipes and fifos in the images: `pipes-data.img` and `fifo-data.img`.
 *
 * @module
 */
import { peekPipe } from "../../core/linux/fcntl.ts";
import { ImageBytes, type ServedImage } from "../../core/restore/image_bytes.ts";
import type { ImageDirectory, ImageWriter } from "../../images/mod.ts";
import type { FIFO_DATA, PIPES_DATA } from "../../images/kinds/files.ts";
import type { Contents } from "./pipe.ts";

/** One of the two image kinds, which have the same messages. */
export type ContentsKind = typeof PIPES_DATA | typeof FIFO_DATA;

/**
 * Saves what is in a pipe: one entry as CRIU has it, or one for each packet where there are several.
 *
 * @param fd a descriptor of the pipe here
 * @returns how many pieces there are
 */
export function saveContents(
  writer: ImageWriter,
  kind: ContentsKind,
  pipeId: number,
  fd: number,
): number {
  const { size, chunks } = peekPipe(fd);
  const pieces = chunks.length === 0 ? [new Uint8Array(0)] : chunks;
  for (const piece of pieces) {
    writer.append(kind, null, { pipeId, bytes: piece.byteLength, size }, piece);
  }
  return chunks.length;
}

/** Finds the contents of all pipes of a kind, by pipe id; what they are the tasks will read from the image. */
export function loadContents(
  images: ImageDirectory,
  kind: ContentsKind,
  image: ServedImage,
): Map<number, Contents> {
  const all = new Map<number, { size?: number; chunks: ImageBytes[] }>();
  if (!images.has(kind, null)) return all;
  for (const { message, offset, size } of images.locate(kind, null)) {
    let contents = all.get(message.pipeId);
    if (contents === undefined) all.set(message.pipeId, contents = { chunks: [] });
    // CRIU before 1.6 had no size.
    if (message.size !== 0) contents.size = message.size;
    if (size > 0) contents.chunks.push(new ImageBytes(image, offset, size));
  }
  return all;
}
