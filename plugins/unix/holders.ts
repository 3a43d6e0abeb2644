/**
 * Who may have made a connection that waits to be accepted. The kernel has taken it down, but shows it to nobody
 * before that; so it is concluded from who holds the socket. Pure.
 *
 * @module
 */
import type { Task } from "../../core/checkpoint/task.ts";
import type { unix_peer_entrySchema } from "../../images/gen/sockets_pb.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";

/**
 * The identity that all who hold a socket have in common.
 *
 * @param holders the tasks that have it, in the order of the tree
 * @returns undefined if their users or groups differ
 */
export function commonIdentity(
  holders: readonly Pick<Task, "pid" | "status">[],
): MessageInitShape<typeof unix_peer_entrySchema> | undefined {
  const [first, ...others] = holders.map(({ pid, status }) => ({
    pid,
    uid: status.uids[1],
    gid: status.gids[1],
    groups: [...status.groups],
  }));
  if (first === undefined) return undefined;
  const same = others.every(({ uid, gid, groups }) =>
    uid === first.uid && gid === first.gid && groups.join() === first.groups.join()
  );
  return same ? first : undefined;
}
