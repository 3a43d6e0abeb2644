/**
 * The restore's hooks of the plugin `packet`.
 *
 * @module
 */
import { encodeBytes } from "../../base/byte_text.ts";
import { StasisError } from "../../base/errors.ts";
import { O } from "../../core/linux/fcntl.ts";
import { interfaceName } from "../../core/linux/net/interfaces.ts";
import { AF_PACKET, packetRing, type PacketSocket } from "../../core/linux/net/packet_diag.ts";
import { readPacketSockets } from "../../core/linux/net/sock_diag.ts";
import { SOCK_CLOEXEC, SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import type { RestoreHooks, RestoreSession } from "../../core/plugin.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import {
  type BufferLimits,
  bufferLimits,
  isTooLarge,
  planOptions,
} from "../../core/restore/socket_options.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import type {
  packet_extra_entry,
  packet_mclist,
  packet_sock_entry,
} from "../../images/gen/packet_pb.ts";
import { FILES } from "../../images/kinds/files.ts";
import { PACKET_EXTRA } from "../../images/kinds/packet.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { present } from "../../images/present.ts";
import { uniqueById } from "../../images/unique.ts";
import { isProvided } from "../external/provided.ts";
import { groupId, MORE, PACKET, SOL_PACKET, TYPE } from "./options.ts";

/** struct sockaddr_ll; its protocol is in network order. */
const sockaddrLl = defineStruct("sockaddr_ll", 20, {
  family: [0, "u16"],
  protocol: [2, "u16"],
  index: [4, "u32"],
});
/** A struct sockaddr with the name of an interface, as those of the old kind take it (packet_bind_spkt()). */
const OLD_ADDRESS = { SIZE: 16, NAME_AT: 2, NAME_SIZE: 14 } as const;
/** struct packet_mreq_max: an interface, a type, the length of an address, and that. */
const MEMBERSHIP = { SIZE: 40, TYPE_AT: 4, LENGTH_AT: 6, ADDRESS_AT: 8 } as const;
/** Of getsockopt(2): the error that waits, which is cleared by that. */
const SO_ERROR = 4;
const NO_FANOUT = 0xffffffff;

/** The hooks of one restore. */
export function restorePacket(
  { images, machine, options, rehearsal }: RestoreSession,
): RestoreHooks {
  let extras: ReadonlyMap<number, packet_extra_entry> = new Map();
  let limits: BufferLimits = { force: false, send: 0, receive: 0 };
  /** The names of interfaces that sockets are bound to, by their numbers. */
  const names = new Map<number, string>();
  const isMine = (file: file_entry): boolean =>
    file.type === fd_types.PACKETSK && file.psk !== undefined &&
    !isProvided(file, images, options);
  return {
    load({ problem }) {
      const sockets = images.has(FILES, null)
        ? images.readList(FILES, null).filter(isMine).map(({ psk }) => psk as packet_sock_entry)
        : [];
      if (sockets.length === 0) return;
      extras = uniqueById(
        images.has(PACKET_EXTRA, null) ? images.readList(PACKET_EXTRA, null) : [],
        ({ id }) => id,
        images.pathOf(PACKET_EXTRA, null),
        "socket",
      );
      limits = bufferLimits(machine.privileges);
      for (const one of sockets) {
        checkPacket(one, extras.get(one.id), images);
        if (isTooLarge(one.opts, limits)) {
          problem({
            what: "a packet socket has larger buffers than this user may make",
            hint: "raise net.core.wmem_max and net.core.rmem_max, or restore with CAP_NET_ADMIN",
          });
        }
        const known = new Map(
          extras.get(one.id)?.interfaces.map(({ index, name }) => [index, name]),
        );
        for (const index of [one.ifindex, ...one.mclist.map(({ index }) => index)]) {
          if (index === 0 || names.has(index)) continue;
          const name = interfaceName(index);
          if (name !== undefined) {
            names.set(index, name);
            const before = known.get(index) ?? name;
            if (before === name) continue;
            problem({
              what:
                `a packet socket is bound to the interface ${before} of number ${index}, which is ` +
                `another one now: ${name}`,
              hint: `give the interface its name again: ip link set ${name} name ${before}`,
            });
          } else {
            problem({
              what:
                `a packet socket is bound to the interface of number ${index}, which is not there`,
              hint: "make one of that number: ip link add ... index N",
            });
          }
        }
      }
      // The tree that is rehearsed is in its groups itself.
      if (rehearsal) return;
      for (const { group, ino } of takenGroups(sockets, readPacketSockets().values())) {
        problem({
          what:
            `the group ${group} of a packet socket (PACKET_FANOUT) has another member by now, ` +
            `socket:[${ino}], and they would take each other's packets`,
          hint: "end the program that has it (ss -0p tells which)",
        });
      }
    },
    descriptors: [{
      kind: "packet socket",
      restores: isMine,
      plan({ file, program }) {
        const entry = file.psk as packet_sock_entry;
        return planPacket(program, entry, extras.get(file.id), limits, names.get(entry.ifindex));
      },
    }],
  };
}

/** The groups of sockets that others are in. Pure. @param live all packet sockets that there are */
export function takenGroups(
  sockets: readonly packet_sock_entry[],
  live: Iterable<Pick<PacketSocket, "ino" | "fanout">>,
): { readonly group: number; readonly ino: number }[] {
  const own = new Set(
    sockets.flatMap((one) => {
      const fanout = present(one, "fanout") ?? NO_FANOUT;
      return fanout === NO_FANOUT ? [] : [groupId(fanout)];
    }),
  );
  const others = new Map<number, number>();
  for (const { ino, fanout } of live) {
    if (fanout !== undefined && own.has(groupId(fanout))) others.set(groupId(fanout), ino);
  }
  return [...others].map(([group, ino]) => ({ group, ino }));
}

/** Refuses what no checkpoint writes. @throws {StasisError} `bad-image` */
export function checkPacket(
  { id, type, mclist }: Pick<packet_sock_entry, "id" | "type" | "mclist">,
  extra: Pick<packet_extra_entry, "more"> | undefined,
  { path }: Pick<ImageDirectory, "path">,
): void {
  const what = `packet socket ${id} in ${path}`;
  const refuse = (why: string): never => {
    throw new StasisError("bad-image", `${what} ${why}`);
  };
  if (!Object.values<number>(TYPE).includes(type)) refuse(`is of type ${type}`);
  const long = mclist.find(({ addr }) => addr.byteLength > MEMBERSHIP.SIZE - MEMBERSHIP.ADDRESS_AT);
  if (long !== undefined) refuse(`has an address of ${long.addr.byteLength} bytes`);
  const other = extra?.more.find(({ name }) => !MORE.includes(name));
  if (other !== undefined) refuse(`has option ${other.name}, which no checkpoint saves`);
}

/**
 * Adds the calls that make a socket anew. Pure.
 *
 * @param name of the interface that it is bound to
 * @returns its descriptor
 */
export function planPacket(
  program: SyscallProgram,
  entry: packet_sock_entry,
  extra: packet_extra_entry | undefined,
  limits: BufferLimits,
  name: string | undefined,
): Argument {
  const { type, protocol, ifindex, flags, opts, mclist, rxRing, txRing } = entry;
  const { uid = 0, gid = 0, options = [], more = [] } = extra ?? {};
  const isOld = type === TYPE.PACKET;
  // Without a protocol nothing comes. One of the old kind gets it here alone.
  const first = isOld ? protocol : 0;
  const fd = program.call("socket", AF_PACKET, type | O.NONBLOCK | SOCK_CLOEXEC, first);
  if (uid !== 0 || gid !== 0) program.call("fchown", fd, uid, gid);
  const set = (option: number, value: number): void => {
    if (value === 0) return;
    const bytes = new Uint8Array(Uint32Array.of(value).buffer);
    program.call("setsockopt", fd, SOL_PACKET, option, program.data(bytes, `${value}`), 4);
  };
  set(PACKET.VERSION, entry.version);
  set(PACKET.RESERVE, entry.reserve);
  set(PACKET.TIMESTAMP, entry.timestamp);
  set(PACKET.COPY_THRESH, entry.copyThresh);
  set(PACKET.AUXDATA, Number(entry.auxData));
  set(PACKET.ORIGDEV, Number(entry.origDev));
  set(PACKET.VNET_HDR, Number(entry.vnetHdr));
  set(PACKET.LOSS, Number(entry.loss));
  for (const { name, value } of more) set(name, value);
  for (const [option, ring] of [[PACKET.RX_RING, rxRing], [PACKET.TX_RING, txRing]] as const) {
    if (ring === undefined) continue;
    const { blockSize, blockNr, frameSize, frameNr, retireTmo, sizeofPriv, features } = ring;
    const bytes = program.data(
      packetRing.make({ blockSize, blockNr, frameSize, frameNr, retireTmo, sizeofPriv, features }),
      `${blockNr} blocks`,
    );
    program.call("setsockopt", fd, SOL_PACKET, option, bytes, packetRing.size);
  }
  if (opts !== undefined) {
    planOptions(program, fd, opts, options, limits);
  }
  for (const membership of mclist) planMembership(program, fd, membership);
  if (isOld) planOldBind(program, fd, name);
  else if (protocol !== 0 || ifindex !== 0) {
    const address = sockaddrLl.make({ family: AF_PACKET, protocol, index: ifindex });
    const at = program.data(address, `interface ${ifindex}`);
    program.call("bind", fd, at, address.byteLength);
  }
  // Of an interface that is down, bind(2) leaves ENETDOWN behind (packet_do_bind() of `net/packet/af_packet.c`). None
  // waited before, or there would be no image of it.
  const ignored = program.output(4, "errors");
  const room = program.data(new Uint8Array(Int32Array.of(4).buffer), "4");
  program.call("getsockopt", fd, SOL_SOCKET, SO_ERROR, ignored, room);
  const fanout = present(entry, "fanout") ?? NO_FANOUT;
  if (fanout !== NO_FANOUT) {
    const bytes = new Uint8Array(Uint32Array.of(fanout).buffer);
    const group = program.data(bytes, `group ${groupId(fanout)}`);
    program.call("setsockopt", fd, SOL_PACKET, PACKET.FANOUT, group, bytes.byteLength);
  }
  planStatusFlags(program, fd, flags, O.NONBLOCK);
  return fd;
}

/** Adds the call that binds one of the old kind to an interface, by its name. */
function planOldBind(program: SyscallProgram, fd: Argument, name: string | undefined): void {
  if (name === undefined) return;
  const address = new Uint8Array(OLD_ADDRESS.SIZE);
  new DataView(address.buffer).setUint16(0, AF_PACKET, true);
  address.set(encodeBytes(name).subarray(0, OLD_ADDRESS.NAME_SIZE - 1), OLD_ADDRESS.NAME_AT);
  program.call("bind", fd, program.data(address, name), address.byteLength);
}

/** Adds the call that asks an interface for something. */
function planMembership(
  program: SyscallProgram,
  fd: Argument,
  { index, type, addr }: packet_mclist,
): void {
  const request = new Uint8Array(MEMBERSHIP.SIZE);
  const view = new DataView(request.buffer);
  view.setUint32(0, index, true);
  view.setUint16(MEMBERSHIP.TYPE_AT, type, true);
  view.setUint16(MEMBERSHIP.LENGTH_AT, addr.byteLength, true);
  request.set(addr, MEMBERSHIP.ADDRESS_AT);
  const what = program.data(request, `type ${type} of interface ${index}`);
  program.call("setsockopt", fd, SOL_PACKET, PACKET.ADD_MEMBERSHIP, what, request.byteLength);
}
