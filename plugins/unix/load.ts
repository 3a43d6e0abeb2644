/**
 * The sockets of an image directory.
 *
 * @module
 */
import { ImageBytes, type ServedImage } from "../../core/restore/image_bytes.ts";
import { StasisError } from "../../base/errors.ts";
import { SCM } from "../../core/linux/net/control_message.ts";
import { SOCK } from "../../core/linux/net/unix_diag.ts";
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import type { unix_sk_entry } from "../../images/gen/sockets_pb.ts";
import { FILES, SK_QUEUES } from "../../images/kinds/files.ts";
import { UNIX_EXTRA } from "../../images/kinds/unix_extra.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { uniqueById } from "../../images/unique.ts";
import { type Message, type SavedSocket, UNIX_EXTERN } from "./group.ts";
import { isUnknown } from "./queue.ts";

/** Whether it is no socket of the tree, but one that others are connected to. */
function isOutside({ uflags }: unix_sk_entry): boolean {
  return uflags === UNIX_EXTERN;
}

/** SCM_MAX_FD (`include/net/scm.h`): how many descriptors a message may have. */
const MOST_RIGHTS = 253;

/**
 * Reads all sockets that are to be restored.
 *
 * @param isMine which of the open files
 * @param waiting `sk-queues.img`, from which the tasks will read what waits
 * @throws {StasisError} `bad-image`
 */
export function loadSockets(
  images: ImageDirectory,
  isMine: (file: file_entry) => boolean,
  waiting: ServedImage,
): SavedSocket[] {
  if (!images.has(FILES, null)) return [];
  const files = images.readList(FILES, null).filter(isMine);
  if (files.length === 0) return [];
  const queues = new Map<number, Message[]>();
  if (images.has(SK_QUEUES, null)) {
    for (const { message, offset, size } of images.locate(SK_QUEUES, null)) {
      const { idFor, scm } = message;
      const rights = scm.flatMap((one) => one.rights);
      if (rights.length > MOST_RIGHTS || scm.some(({ type }) => type !== SCM.RIGHTS)) {
        throw new StasisError(
          "bad-image",
          `${
            images.pathOf(SK_QUEUES, null)
          }: a message for file ${idFor} comes with what no message can`,
        );
      }
      const queue = queues.get(idFor) ?? [];
      queue.push({ bytes: new ImageBytes(waiting, offset, size), rights });
      queues.set(idFor, queue);
    }
  }
  const extras = uniqueById(
    images.has(UNIX_EXTRA, null) ? images.readList(UNIX_EXTRA, null) : [],
    ({ id }) => id,
    images.pathOf(UNIX_EXTRA, null),
    "socket",
  );
  uniqueById(files, ({ usk }) => usk?.ino ?? 0, images.pathOf(FILES, null), "socket inode");
  const outside = new Map(
    files.flatMap(({ usk }) => usk !== undefined && isOutside(usk) ? [[usk.ino, usk.name]] : []),
  );
  return files.filter(({ usk }) => usk !== undefined && !isOutside(usk)).map(({ id, usk }) => {
    const extra = extras.get(id);
    const queue = (queues.get(id) ?? []).map(({ bytes, rights }, index): Message => {
      const { sender, from, urgent } = extra?.messages[index] ?? {};
      if (urgent === true && (usk?.type !== SOCK.STREAM || bytes.byteLength !== 1)) {
        throw new StasisError(
          "bad-image",
          `${images.pathOf(UNIX_EXTRA, null)}: urgent data of file ${id} is no byte of a stream`,
        );
      }
      return {
        bytes,
        rights,
        from,
        urgent,
        sender: sender === undefined || isUnknown(sender) ? undefined : sender,
      };
    });
    const entry = usk as unix_sk_entry;
    return { entry, extra, queue, outside: outside.get(entry.peer) };
  });
}
