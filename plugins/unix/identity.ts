/**
 * Who made the other end of a connection: SO_PEERCRED and SO_PEERGROUPS. The kernel keeps that at socketpair(2),
 * connect(2) and listen(2), from the task that calls (init_peercred() of `net/unix/af_unix.c`).
 *
 * So sockets are made by the task whose process id is wanted, if it is in the tree, and with its effective user
 * and group for the moment of the call. What it gets in the end is set later, with its credentials.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Errno } from "../../core/linux/errno.ts";
import { type OptionReader, readOption, SO } from "../../core/linux/net/socket_options.ts";
import { ucred } from "../../core/linux/net/control_message.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { unix_peer_entry, unix_peer_entrySchema } from "../../images/gen/sockets_pb.ts";

const UNCHANGED = -1;
const PR_SET_DUMPABLE = 4, PR_SET_SECUREBITS = 28;
/** `1 << SECURE_NO_SETUID_FIXUP` (`include/uapi/linux/securebits.h`): leaving user 0 takes no capabilities. */
const SECBIT_NO_SETUID_FIXUP = 4;

/** Room for few groups, and for as many as there can be (NGROUPS_MAX). */
const FEW_GROUPS = 16, MOST_GROUPS = 65536;
const GROUP_SIZE = 4;

/** What is read of each socket, with the most bytes that it has. */
export const PEER_SIZES: ReadonlyMap<number, number> = new Map([
  [SO.PEERCRED, ucred.size],
  [SO.PEERGROUPS, FEW_GROUPS * GROUP_SIZE],
]);

/** Whether the socket that was read last has a peer with more groups than were asked for. */
export function hasManyGroups(options: OptionReader): boolean {
  return options.errno(SO.PEERGROUPS) === Errno.ERANGE;
}

/** Who made the other end of the socket that was read last; undefined where it has none. */
export function decodePeer(
  options: OptionReader,
  fd: number,
): MessageInitShape<typeof unix_peer_entrySchema> | undefined {
  const bytes = options.bytes(SO.PEERCRED);
  if (bytes === undefined || bytes.byteLength < ucred.size) return undefined;
  const { pid, uid, gid } = ucred.read(bytes);
  // Without a peer the ids are -1 (cred_to_ucred() of `net/core/sock.c`).
  if (uid === 0xffffffff) return undefined;
  const groups = hasManyGroups(options)
    ? readOption(fd, SO.PEERGROUPS, MOST_GROUPS * GROUP_SIZE)
    : options.bytes(SO.PEERGROUPS);
  const { buffer, byteLength } = groups ?? new Uint8Array(0);
  return { pid, uid, gid, groups: [...new Uint32Array(buffer, 0, byteLength / GROUP_SIZE)] };
}

/**
 * Adds calls as somebody else: between those that take on the effective user, group and groups of a peer, and
 * those that go back to user 0. The capabilities stay, so that a path can be used which that user cannot reach (any
 * more). The securebits that see to it are set anew with the credentials.
 *
 * @param peer nobody: the calls are added as they are
 */
export function planAs<Result>(
  program: SyscallProgram,
  peer: unix_peer_entry | undefined,
  calls: () => Result,
): Result {
  if (peer === undefined) return calls();
  const { uid, gid, groups } = peer;
  const list = new Uint8Array(new Uint32Array(groups).buffer);
  program.call("setgroups", groups.length, groups.length === 0 ? 0 : list);
  if (uid !== 0) {
    program.call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
  }
  if (gid !== 0) program.call("setresgid", UNCHANGED, gid, UNCHANGED);
  if (uid !== 0) program.call("setresuid", UNCHANGED, uid, UNCHANGED);
  const result = calls();
  if (uid !== 0) program.call("setresuid", UNCHANGED, 0, UNCHANGED);
  if (gid !== 0) program.call("setresgid", UNCHANGED, 0, UNCHANGED);
  // A change of effective ids clears it (commit_creds()), and /proc/self would belong to others.
  if (uid !== 0 || gid !== 0) program.call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0);
  return result;
}
