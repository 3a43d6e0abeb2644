/**
 * What sockets of the images are filled by with the messages that waited in them, and who else would get these.
 *
 * @module
 */
import { IPPROTO } from "../../core/linux/net/inet_diag.ts";
import { freePort } from "./free_port.ts";
import type { RawSocket } from "./listed_raw.ts";
import type { Filling } from "./plan.ts";
import { kindText, SOCK } from "./protocol.ts";
import { getsToo, parsePacket } from "./raw_packet.ts";
import type { SavedSocket } from "./socket.ts";
import type { Finding } from "./survey.ts";

/** What packets are marked with, and a number behind it: a mark that nobody is to have by accident. */
const FIRST_MARK = 0x5354_0000;

/** Whether it is a raw or an ICMP socket. */
function takesPackets({ kind: { type, protocol } }: SavedSocket): boolean {
  return type === SOCK.RAW ||
    type === SOCK.DGRAM && (protocol === IPPROTO.ICMP || protocol === IPPROTO.ICMPV6);
}

/** What sockets are filled by, by their ids. */
export function fillingsOf(sockets: readonly SavedSocket[]): Map<number, Filling> {
  const fillings = new Map<number, Filling>();
  const raws = sockets.filter(takesPackets);
  if (raws.some(({ queue }) => queue.length > 0)) {
    raws.forEach(({ entry: { id } }, index) => fillings.set(id, { mark: FIRST_MARK + index }));
  }
  const ports = new Set<number>();
  for (const { kind, queue, entry: { id } } of sockets) {
    if (kind.protocol !== IPPROTO.UDPLITE || kind.type === SOCK.RAW || queue.length === 0) continue;
    fillings.set(id, { port: freePort(kind, ports) });
  }
  return fillings;
}

/** Who else has a socket that would get the packets. @param read reads the raw and ICMP sockets of this machine */
export function listenerProblems(
  sockets: readonly SavedSocket[],
  read: () => readonly RawSocket[],
): Finding[] {
  const filled = sockets.filter((one) => takesPackets(one) && one.queue.length > 0);
  if (filled.length === 0) return [];
  const live = read();
  return filled.flatMap(({ kind, queue, entry: { ino } }) => {
    const packets = queue.flatMap(({ data }) => parsePacket(data) ?? []);
    const other = live.find((one) => packets.some((packet) => getsToo(one, packet)));
    return other === undefined ? [] : [{
      what:
        `what waited in the ${kindText(kind)} socket:[${ino}] would get into another one, too: ` +
        `socket:[${other.ino}]`,
      hint: "end the program that has it (ss -wanp tells which)",
    }];
  });
}
