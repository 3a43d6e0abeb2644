/**
 * Options beyond SOL_SOCKET's common ones: of a socket those are saved that a new one of its kind does not have.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { makeSocket } from "../../core/linux/net/make_socket.ts";
import { OptionReader } from "../../core/linux/net/socket_options.ts";
import type { inet_option_entrySchema } from "../../images/gen/inet_pb.ts";
import { optionLists, type OptionSizes } from "./option_lists.ts";
import type { SocketKind } from "./protocol.ts";

/** An option with its value. */
export type Option = MessageInitShape<typeof inet_option_entrySchema> & {
  readonly level: number;
  readonly name: number;
  readonly value: Uint8Array;
};

/** A list of options of one level, with what a new socket has. */
interface Level {
  readonly level: number;
  readonly sizes: OptionSizes;
  readonly reader: OptionReader;
  readonly usual: ReadonlyMap<number, Uint8Array | undefined>;
  /** Those of the socket that was read last, which most sockets of a program have in common. */
  last: readonly Option[] | undefined;
}

const known = new Map<string, readonly Level[]>();

/**
 * Reads the options of a socket that are not those of a new one.
 *
 * @param fd a duplicate of its descriptor
 * @param connected whether it is a connection
 * @throws {StasisError} `syscall`, `no-privilege` where this process may not make a socket of its kind
 */
export function readOptions(fd: number, kind: SocketKind, connected: boolean): Option[] {
  return levelsOf(kind, connected).flatMap((level) => {
    if (!level.reader.read(fd)) level.last = undefined;
    return level.last ??= unusual(level);
  });
}

/** What was read last and is not that of a new socket. */
function unusual({ level, sizes, reader, usual }: Level): Option[] {
  return [...sizes.keys()].flatMap((name) => {
    const value = reader.bytes(name);
    return value === undefined || isSame(value, usual.get(name)) ? [] : [{ level, name, value }];
  });
}

function levelsOf(kind: SocketKind, connected: boolean): readonly Level[] {
  const key = `${kind.family} ${kind.type} ${kind.protocol} ${connected}`;
  let levels = known.get(key);
  if (levels === undefined) {
    using fresh = makeSocket(kind);
    levels = optionLists(kind, connected).map(([level, sizes]) => {
      const reader = new OptionReader(sizes, level);
      reader.read(fresh.fd);
      const usual = new Map([...sizes.keys()].map((name) => [name, reader.bytes(name)]));
      return { level, sizes, reader, usual, last: undefined };
    });
    known.set(key, levels);
  }
  return levels;
}

function isSame(value: Uint8Array, usual: Uint8Array | undefined): boolean {
  return usual !== undefined && value.byteLength === usual.byteLength &&
    value.every((byte, index) => byte === usual[index]);
}
