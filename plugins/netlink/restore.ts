/**
 * The restore's hooks of the plugin `netlink`.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { O } from "../../core/linux/fcntl.ts";
import { SOCK_CLOEXEC } from "../../core/linux/net/socket_ffi.ts";
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
import type { netlink_extra_entry, netlink_sk_entry } from "../../images/gen/netlink_pb.ts";
import { FILES } from "../../images/kinds/files.ts";
import { NETLINK_EXTRA } from "../../images/kinds/netlink.ts";
import { uniqueById } from "../../images/unique.ts";
import { isProvided } from "../external/provided.ts";
import { encodeAddress, groupNumbers } from "./address.ts";
import { type ListedNetlink, readNetNetlink } from "./net_netlink.ts";
import { AF_NETLINK } from "../../core/linux/net/netlink.ts";
import { FLAGS, GROUP_WORDS, NETLINK, PROTOCOLS, SOL_NETLINK, TYPES } from "./protocol.ts";

/** The hooks of one restore. */
export function restoreNetlink(
  { images, machine, options, rehearsal }: RestoreSession,
): RestoreHooks {
  let extras: ReadonlyMap<number, netlink_extra_entry> = new Map();
  let limits: BufferLimits = { force: false, send: 0, receive: 0 };
  const isMine = (file: file_entry): boolean =>
    file.type === fd_types.NETLINKSK && file.nlsk !== undefined &&
    !isProvided(file, images, options);
  return {
    load({ problem }) {
      const sockets = images.has(FILES, null)
        ? images.readList(FILES, null).filter(isMine).map(({ nlsk }) => nlsk as netlink_sk_entry)
        : [];
      if (sockets.length === 0) return;
      extras = uniqueById(
        images.has(NETLINK_EXTRA, null) ? images.readList(NETLINK_EXTRA, null) : [],
        ({ id }) => id,
        images.pathOf(NETLINK_EXTRA, null),
        "socket",
      );
      for (const one of sockets) checkNetlink(one, extras.get(one.id), images.path);
      limits = bufferLimits(machine.privileges);
      for (const { ino, opts } of sockets.filter(({ opts }) => isTooLarge(opts, limits))) {
        problem({
          what: `socket:[${ino}] has larger buffers (${opts?.soRcvbuf}) than this user may make`,
          hint: "raise net.core.wmem_max and net.core.rmem_max, or restore with CAP_NET_ADMIN",
        });
      }
      // The tree that is rehearsed has its addresses itself.
      if (rehearsal) return;
      for (const [{ ino, protocol, portid }, other] of takenAddresses(sockets, readNetNetlink())) {
        problem({
          what: `the address ${portid} of the netlink socket socket:[${ino}], of protocol ` +
            `${protocol}, is taken by another socket, socket:[${other.ino}]`,
          hint: "end the program that has it (ss -f netlink tells which)",
        });
      }
    },
    descriptors: [{
      kind: "netlink socket",
      restores: isMine,
      plan: ({ file, program }) =>
        planNetlink(program, file.nlsk as netlink_sk_entry, extras.get(file.id), limits),
    }],
  };
}

/** Which sockets' addresses others have. Pure. */
export function takenAddresses<One extends Pick<netlink_sk_entry, "protocol" | "portid">>(
  sockets: readonly One[],
  live: readonly ListedNetlink[],
): (readonly [One, ListedNetlink])[] {
  const key = ({ protocol, portid }: Pick<ListedNetlink, "protocol" | "portid">): string =>
    `${protocol} ${portid}`;
  const byKey = new Map(live.map((one) => [key(one), one]));
  return sockets.flatMap((one) => {
    const other = one.portid === 0 ? undefined : byKey.get(key(one));
    return other === undefined ? [] : [[one, other] as const];
  });
}

/** Refuses what no checkpoint writes. @throws {StasisError} `bad-image` */
export function checkNetlink(
  { ino, protocol, dstGroup, groups }: Pick<
    netlink_sk_entry,
    "ino" | "protocol" | "dstGroup" | "groups"
  >,
  extra: Pick<netlink_extra_entry, "type" | "more"> | undefined,
  path: string,
): void {
  const refuse = (what: string): never => {
    throw new StasisError("bad-image", `socket:[${ino}] in ${path} ${what}`);
  };
  if (protocol >= PROTOCOLS) refuse(`is of protocol ${protocol}`);
  if (dstGroup > 32) refuse(`is connected to group ${dstGroup}`);
  if (groups.length > GROUP_WORDS) refuse(`is in groups of up to ${groups.length * 32}`);
  if (extra === undefined) return;
  if (extra.type !== 0 && !TYPES.includes(extra.type)) refuse(`is of type ${extra.type}`);
  const other = extra.more.find(({ name }) => !FLAGS.includes(name));
  if (other !== undefined) refuse(`has option ${other.name}, which no checkpoint saves`);
}

/** Adds the calls that make a socket anew. Pure. @returns its descriptor */
export function planNetlink(
  program: SyscallProgram,
  { ino, protocol, portid, groups, state, dstPortid, dstGroup, flags, opts }: netlink_sk_entry,
  extra: netlink_extra_entry | undefined,
  limits: BufferLimits,
): Argument {
  const { type = 0, uid = 0, gid = 0, options = [], more = [] } = extra ?? {};
  const fd = program.call(
    "socket",
    AF_NETLINK,
    (type || TYPES[0] as number) | O.NONBLOCK | SOCK_CLOEXEC,
    protocol,
  );
  if (uid !== 0 || gid !== 0) program.call("fchown", fd, uid, gid);
  for (const { name, value } of more) planNumber(program, fd, name, value);
  // Before anything can come: nothing comes past its filter.
  if (opts !== undefined) {
    planOptions(program, fd, opts, options, limits);
  }
  if (portid !== 0) {
    const address = encodeAddress(portid);
    program.explained(
      taken(ino, portid),
      "bind",
      fd,
      program.data(address, `address ${portid}`),
      address.byteLength,
    );
  }
  for (const group of groupNumbers(groups)) planNumber(program, fd, NETLINK.ADD_MEMBERSHIP, group);
  if (state !== 0) {
    const address = encodeAddress(dstPortid, dstGroup);
    const to = program.data(address, `address ${dstPortid}, group ${dstGroup}`);
    program.call("connect", fd, to, address.byteLength);
  }
  planStatusFlags(program, fd, flags, O.NONBLOCK);
  return fd;
}

/** Adds the call that sets an option of SOL_NETLINK. */
function planNumber(program: SyscallProgram, fd: Argument, name: number, value: number): void {
  const bytes = new Uint8Array(Uint32Array.of(value).buffer);
  const data = program.data(bytes, `${value}`);
  program.call("setsockopt", fd, SOL_NETLINK, name, data, bytes.byteLength);
}

function taken(ino: number, portid: number) {
  return (errno: string): StasisError | undefined =>
    errno !== "EADDRINUSE" ? undefined : new StasisError(
      "conflict",
      `the address ${portid} of the netlink socket socket:[${ino}] is taken by another one`,
      { errno, hint: "end the program that has it (ss -f netlink tells which)" },
    );
}
