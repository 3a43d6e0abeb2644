/**
 * A socket of the images.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { AF_INET, AF_INET6, TCP } from "../../core/linux/net/inet_diag.ts";
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import type {
  inet_corked_entry,
  inet_datagram_entry,
  inet_ended_entry,
  inet_orphaned_entry,
  inet_sk_entry,
  inet_urgent_entry,
  tcp_stream_entry,
} from "../../images/gen/inet_pb.ts";
import type { Owner } from "../../core/checkpoint/socket_belonging.ts";
import { ImageBytes, ServedImage } from "../../core/restore/image_bytes.ts";
import { sk_shutdown, type socket_option_entry } from "../../images/gen/sockets_pb.ts";
import { FILES } from "../../images/kinds/files.ts";
import { INET_EXTRA, TCP_STREAM } from "../../images/kinds/inet.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { present } from "../../images/present.ts";
import { uniqueById } from "../../images/unique.ts";
import { type Address, fromWords, isAny } from "./address.ts";
import { optionsOfEntry } from "./image.ts";
import { checkSocket, checkStream } from "./image_checks.ts";
import type { Option } from "./options.ts";
import { SOCK, type SocketKind } from "./protocol.ts";
import { hasStream, isConnection } from "./tcp_info.ts";

/** What a connection has. */
export interface SavedStream {
  readonly entry: tcp_stream_entry;
  /** What was received and not read. */
  readonly received: ImageBytes;
  /** What was written and not acknowledged. */
  readonly sent: ImageBytes;
}

/** A socket of the images. */
export interface SavedSocket {
  readonly entry: inet_sk_entry;
  readonly kind: SocketKind;
  readonly own: Address;
  readonly peer: Address;
  /** Whether it is bound, and connected. */
  readonly isBound: boolean;
  readonly isConnected: boolean;
  /** Whether its own address was none of the machine's. */
  readonly isForeign: boolean;
  /** Whether the other end waits to be accepted: it is connected anew. */
  readonly isWaiting: boolean;
  /** What was sent to that already. */
  readonly sent: Uint8Array;
  /** Those that wait to be accepted by it, whose other ends are over. */
  readonly orphaned: readonly inet_orphaned_entry[];
  /** Whom it belongs to. */
  readonly owner: Owner;
  /** Options of SOL_SOCKET that the entry has no field for. */
  readonly options: readonly Pick<socket_option_entry, "name" | "value">[];
  /** Options of other levels, in the order in which they are set. */
  readonly more: readonly Option[];
  /** What waits in it; not of TCP. */
  readonly queue: readonly inet_datagram_entry[];
  /** Where urgent data is in what a connection has received. */
  readonly urgent: inet_urgent_entry | undefined;
  /** Behind how many bytes it is of what was sent and not acknowledged. */
  readonly urgentAt: number | undefined;
  /** What is left of a connection that is over. */
  readonly ended: inet_ended_entry | undefined;
  /** A message that was begun and not sent; not of TCP. */
  readonly corked: inet_corked_entry | undefined;
  /** Of a connection that is restored as one. */
  readonly stream: SavedStream | undefined;
}

/**
 * Reads all sockets that are to be restored.
 *
 * @param isMine which of the open files
 * @param isClosed whether connections come back closed
 * @param indexOf the number of an interface by its name
 * @throws {StasisError} `bad-image`
 */
export function loadSockets(
  images: ImageDirectory,
  isMine: (file: file_entry) => boolean,
  isClosed: boolean,
  indexOf: (name: string) => number | undefined,
): SavedSocket[] {
  if (!images.has(FILES, null)) return [];
  const files = images.readList(FILES, null).filter(isMine);
  if (files.length === 0) return [];
  const extras = uniqueById(
    images.has(INET_EXTRA, null) ? images.readList(INET_EXTRA, null) : [],
    ({ id }) => id,
    images.pathOf(INET_EXTRA, null),
    "socket",
  );
  uniqueById(files, ({ isk }) => isk?.ino ?? 0, images.pathOf(FILES, null), "socket inode");
  return files.map(({ id, isk }) => {
    const entry = isk as inet_sk_entry;
    const { family, type, proto: protocol, srcAddr, dstAddr, srcPort, dstPort } = entry;
    if (family !== AF_INET && family !== AF_INET6) {
      throw new StasisError(
        "bad-image",
        `socket:[${entry.ino}] in ${images.path} is of family ${family}`,
      );
    }
    const extra = extras.get(id);
    checkSocket(entry, extra, images.path);
    const interfaceName = present(entry, "ifname");
    const scope = interfaceName === undefined ? 0 : indexOf(interfaceName) ?? 0;
    const own = { family, port: srcPort, bytes: fromWords(family, srcAddr), scope };
    const peer = { family, port: dstPort, bytes: fromWords(family, dstAddr), scope };
    const isStream = type === SOCK.STREAM && hasStream(entry.state);
    return {
      entry: isStream && isClosed ? closedEntry(entry) : entry,
      kind: { family, type, protocol },
      own,
      peer,
      isBound: srcPort !== 0 || type === SOCK.RAW && !isAny(own.bytes),
      isConnected: type === SOCK.STREAM
        ? isConnection(entry.state) && !isClosed
        : entry.state === TCP.ESTABLISHED,
      isForeign: extra?.foreign ?? false,
      isWaiting: extra?.waiting ?? false,
      sent: extra?.sent ?? new Uint8Array(0),
      orphaned: extra?.orphaned ?? [],
      owner: { uid: extra?.uid ?? 0, gid: extra?.gid ?? 0 },
      options: extra?.options ?? [],
      more: [...optionsOfEntry(entry), ...extra?.more ?? []],
      queue: extra?.queue ?? [],
      urgent: extra?.urgent,
      urgentAt: extra === undefined ? undefined : present(extra, "urgentSent"),
      ended: extra?.ended,
      corked: extra?.corked,
      stream: isStream && !isClosed ? loadStream(images, entry.ino, extra?.urgent) : undefined,
    };
  });
}

/** A connection as one that has been closed in both directions. */
function closedEntry(entry: inet_sk_entry): inet_sk_entry {
  return { ...entry, state: TCP.CLOSE, shutdown: sk_shutdown.BOTH };
}

/** @throws {StasisError} `bad-image` */
function loadStream(
  images: ImageDirectory,
  ino: number,
  urgent: inet_urgent_entry | undefined,
): SavedStream {
  const path = images.pathOf(TCP_STREAM, ino);
  if (!images.has(TCP_STREAM, ino)) {
    throw new StasisError("bad-image", `${path}, a connection of the tree, is missing`);
  }
  const [located] = images.locate(TCP_STREAM, ino);
  if (located === undefined) throw new StasisError("bad-image", `${path} is empty`);
  const { message: entry, offset } = located;
  checkStream(entry, path);
  const { inqLen, outqLen } = entry;
  if (urgent !== undefined && (urgent.offset >= inqLen || urgent.byte > 0xff)) {
    throw new StasisError("bad-image", `${path} has urgent data behind what was received`);
  }
  const image = new ServedImage(path);
  return {
    entry,
    received: new ImageBytes(image, offset, inqLen),
    sent: new ImageBytes(image, offset + inqLen, outqLen),
  };
}
