/**
 * Entries of images by their ids, which have to be different: of two entries with one id the later would take the
 * place of the earlier without a word.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";

/**
 * Entries by their id.
 *
 * @param idOf what tells them apart
 * @param file the image's path, for errors
 * @param what what the id is, for errors: `file`, `thread`
 * @throws {StasisError} `bad-image` where two have the same
 */
export function uniqueById<Entry, Id extends number | bigint | string>(
  entries: Iterable<Entry>,
  idOf: (entry: Entry) => Id,
  file: string,
  what: string,
): Map<Id, Entry> {
  const byId = new Map<Id, Entry>();
  for (const entry of entries) {
    const id = idOf(entry);
    if (byId.has(id)) throw new StasisError("bad-image", `${file} has ${what} ${id} twice`);
    byId.set(id, entry);
  }
  return byId;
}
