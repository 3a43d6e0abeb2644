/**
 * Names of unix sockets, unix(7): a path in the file system, or "abstract" bytes behind a zero. Pure.
 *
 * @module
 */

/** A name as ss(8) and others show it: abstract ones begin with `@`; bytes that are no text are escaped. */
export function nameText(name: Uint8Array): string {
  if (name.byteLength === 0) return "(none)";
  const abstract = name[0] === 0;
  let text = abstract ? "@" : "";
  // The kernel ends a path with a zero, which belongs to the name (unix_mkname_bsd()).
  const end = !abstract && name.at(-1) === 0 ? -1 : undefined;
  for (const byte of name.subarray(abstract ? 1 : 0, end)) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x5c;
    text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return text;
}
