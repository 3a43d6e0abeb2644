/**
 * What waits in the sockets, pipes and fifos of images, in a few words.
 *
 * @module
 */
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import { FIFO_DATA, PIPES_DATA, SK_QUEUES } from "../../images/kinds/files.ts";
import { INET_EXTRA, TCP_STREAM } from "../../images/kinds/inet.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { formatBytes, plural } from "../ui/units.ts";

/** What waits in each of them that has something in it, by the id of its file. */
export function describeQueues(
  images: ImageDirectory,
  files: ReadonlyMap<number, file_entry>,
): ReadonlyMap<number, string> {
  /** By the id of the file: how many messages, and how many bytes they have. */
  const messages = new Map<number, { count: number; bytes: number }>();
  const add = (id: number, bytes: number): void => {
    const known = messages.get(id) ?? { count: 0, bytes: 0 };
    messages.set(id, { count: known.count + 1, bytes: known.bytes + bytes });
  };
  if (images.has(SK_QUEUES, null)) {
    for (const { message } of images.locate(SK_QUEUES, null)) add(message.idFor, message.length);
  }
  if (images.has(INET_EXTRA, null)) {
    for (const { id, queue } of images.readList(INET_EXTRA, null)) {
      for (const { data } of queue) add(id, data.byteLength);
    }
  }
  const texts = new Map<number, string>();
  for (const [id, { count, bytes }] of messages) {
    texts.set(id, `${formatBytes(bytes)} in ${plural(count, "message")} waits`);
  }
  for (const [id, { isk }] of files) {
    if (isk === undefined || !images.has(TCP_STREAM, isk.ino)) continue;
    const stream = images.locate(TCP_STREAM, isk.ino)[0]?.message;
    if (stream === undefined) continue;
    const { inqLen, outqLen } = stream;
    const parts: string[] = [];
    if (inqLen > 0) parts.push(`${formatBytes(inqLen)} waits`);
    if (outqLen > 0) parts.push(`${formatBytes(outqLen)} on its way`);
    if (parts.length > 0) texts.set(id, parts.join(", "));
  }
  const piped = new Map<string, number>();
  for (const [name, kind] of [["pipe", PIPES_DATA], ["fifo", FIFO_DATA]] as const) {
    for (const { message } of images.has(kind, null) ? images.locate(kind, null) : []) {
      piped.set(`${name} ${message.pipeId}`, message.bytes);
    }
  }
  for (const [id, { pipe, fifo }] of files) {
    const name = pipe === undefined ? `fifo ${fifo?.pipeId}` : `pipe ${pipe.pipeId}`;
    const bytes = piped.get(name) ?? 0;
    if (bytes > 0) texts.set(id, `${formatBytes(bytes)} waits`);
  }
  return texts;
}
