/**
 * What tells connections apart. Pure.
 *
 * @module
 */
import type { InetSocket } from "../../core/linux/net/inet_diag.ts";
import { type Address, endText } from "./address.ts";
import { onWire } from "./network_lock.ts";

/** A connection as one of its ends sees it, whether of IPv4 or of IPv4 over IPv6. */
export function connectionKey({ source, target }: Pick<InetSocket, "source" | "target">): string {
  return `${endText(onWire(source.address), source.port)} ${
    endText(onWire(target.address), target.port)
  }`;
}

/** The same of addresses of the images. */
export function keyOfEnds(own: Address, peer: Address): string {
  return connectionKey({
    source: { address: own.bytes, port: own.port },
    target: { address: peer.bytes, port: peer.port },
  });
}
