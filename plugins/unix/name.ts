/**
 * Names of unix sockets, unix(7): a path in the file system, or "abstract" bytes behind a zero. Pure.
 *
 * @module
 */
import { decodeBytes } from "../../base/byte_text.ts";
import { AF_UNIX } from "../../core/linux/net/socket_ffi.ts";

/** A name as ss(8) and others show it: abstract ones begin with `@`; bytes that are no text are escaped. */
export function nameText(name: Uint8Array): string {
  if (name.byteLength === 0) return "(none)";
  let text = name[0] === 0 ? "@" : "";
  for (const byte of name[0] === 0 ? name.subarray(1) : withoutEnd(name)) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x5c;
    text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return text;
}

/** The path of a name; undefined if it is abstract, or none. */
export function pathOf(name: Uint8Array): string | undefined {
  if (name.byteLength === 0 || name[0] === 0) return undefined;
  return decodeBytes(withoutEnd(name));
}

/** A path up to the zero that may end it: the kernel adds one (unix_mkname_bsd() of `net/unix/af_unix.c`). */
function withoutEnd(name: Uint8Array): Uint8Array {
  const end = name.indexOf(0);
  return end < 0 ? name : name.subarray(0, end);
}

/** The address of a name, struct sockaddr_un. */
export function sockaddr(name: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + name.byteLength);
  bytes[0] = AF_UNIX;
  bytes.set(name, 2);
  return bytes;
}

/** A name as the key of a map. */
export function nameKey(name: Uint8Array): string {
  return name[0] === 0 ? name.toHex() : withoutEnd(name).toHex();
}
