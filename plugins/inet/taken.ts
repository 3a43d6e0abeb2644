/**
 * Ports that cannot be had again on this machine.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { AF_INET6, type InetSocket, IPPROTO, TCP } from "../../core/linux/net/inet_diag.ts";
import { readInetSockets } from "../../core/linux/net/sock_diag.ts";
import { endText, isAny } from "./address.ts";
import { interfaceIndex } from "../../core/linux/net/interfaces.ts";
import { isListed, isTcp, kindText } from "./protocol.ts";
import type { SavedSocket } from "./socket.ts";

type Finding = Omit<Problem, "plugin">;

/** States of TCP sockets that keep others from a port for themselves. */
const HAVING: readonly number[] = [TCP.LISTEN, TCP.BOUND_INACTIVE];

/** Looks for sockets of others that have a port which a saved one needs for itself. */
export function takenProblems(saved: readonly SavedSocket[]): Finding[] {
  const bound = saved.filter(({ kind, isBound, isConnected }) =>
    isBound && isListed(kind) && !(isTcp(kind) && isConnected)
  );
  return [IPPROTO.TCP, IPPROTO.UDP, IPPROTO.UDPLITE].flatMap((protocol) => {
    const wanted = bound.filter(({ kind }) => kind.protocol === protocol);
    if (wanted.length === 0) return [];
    // Of a busy machine's connections none is read.
    const asked = protocol === IPPROTO.TCP ? { states: HAVING } : {};
    const live = Map.groupBy(
      readInetSockets(protocol, [], asked).byInode.values(),
      ({ source }) => source.port,
    );
    return wanted.flatMap((socket) => {
      const device = socket.entry.opts?.soBoundDev ?? "";
      const index = device === "" ? 0 : interfaceIndex(device) ?? 0;
      const other = live.get(socket.own.port)?.find((one) => isInTheWay(one, socket, index));
      return other === undefined ? [] : [describe(socket, other)];
    });
  });
}

/** Whether a living socket keeps a saved one from its address. Pure. @param device the number of the saved one's */
export function isInTheWay(
  live: InetSocket,
  { kind, own, entry }: SavedSocket,
  device: number,
): boolean {
  if (live.source.port !== own.port) return false;
  // Of different interfaces both can have it (inet_bind_conflict(), udp_lib_lport_inuse()).
  if (live.device !== 0 && device !== 0 && live.device !== device) return false;
  // What shares its port by choice finds out when it is bound.
  if (entry.opts?.soReuseport === true) return false;
  if (isTcp(kind)) {
    if (!HAVING.includes(live.state)) return false;
  } else if (entry.opts?.reuseaddr === true) return false;
  const [one, other] = [live.source.address, own.bytes];
  if (one.byteLength === other.byteLength) {
    return isAny(one) || isAny(other) || one.every((byte, index) => byte === other[index]);
  }
  // One of IPv6 that takes any address takes those of IPv4 too, unless it says otherwise.
  const six = live.family === AF_INET6 ? one : other;
  return live.family !== AF_INET6 && entry.v6only !== true && isAny(six);
}

function describe({ kind, own, entry }: SavedSocket, { ino }: InetSocket): Finding {
  return {
    what: `the port of the ${kindText(kind)} socket:[${entry.ino}], ${
      endText(own.bytes, own.port)
    }, is taken by another socket, socket:[${ino}]`,
    hint: "end the program that has it (ss -tulpn tells which)",
  };
}
