/**
 * Handles of files (name_to_handle_at(2)) in images. Pure.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { StasisError } from "../base/errors.ts";
import type { fh_entry, fh_entrySchema } from "./gen/watches_pb.ts";

/** A handle: what its file system makes of a file. */
export interface Handle {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** As CRIU has it, and as long as a handle can be: MAX_HANDLE_SZ of `include/linux/exportfs.h`. */
const WORDS = 16;
const MOST = WORDS * 8;
/** The image of a file's handle. @param handle undefined where there is none; @param path one that leads to the file */
export function encodeHandle(
  handle: Handle | undefined,
  path: string,
): MessageInitShape<typeof fh_entrySchema> {
  const bytes = new Uint8Array(MOST);
  bytes.set(handle?.bytes ?? []);
  return {
    bytes: handle?.bytes.byteLength ?? 0,
    type: handle?.type ?? 0,
    handle: [...new BigUint64Array(bytes.buffer)],
    path,
  };
}

/** A file's handle; undefined where its file system has none. @throws {StasisError} `bad-image` */
export function handleOf({ bytes, type, handle }: fh_entry, file: string): Handle | undefined {
  if (bytes === 0) return undefined;
  if (bytes > MOST || bytes > handle.length * 8) {
    throw new StasisError(
      "bad-image",
      `${file} has a file handle of ${bytes} bytes in ${handle.length} words`,
    );
  }
  return { type, bytes: new Uint8Array(BigUint64Array.from(handle).buffer).slice(0, bytes) };
}
