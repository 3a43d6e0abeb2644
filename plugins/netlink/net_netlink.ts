/**
 * The netlink sockets of this network namespace that have an address: `/proc/net/netlink` (`netlink_native_seq_show()` of
 * `net/netlink/af_netlink.c`).
 *
 * @module
 */

/** One of them. */
export interface ListedNetlink {
  readonly ino: number;
  readonly protocol: number;
  readonly portid: number;
  /** Whether the kernel is in the middle of giving it a list (NLM_F_DUMP). */
  readonly isListing: boolean;
}

/** Reads them. */
export function readNetNetlink(): ListedNetlink[] {
  return parseNetNetlink(Deno.readTextFileSync("/proc/net/netlink"));
}

/** The same of what stands in that file. Pure. */
export function parseNetNetlink(text: string): ListedNetlink[] {
  return text.split("\n").slice(1).filter((line) => line !== "").map((line) => {
    const [, protocol, portid, , , , listing, , , ino] = line.trim().split(/\s+/);
    return {
      ino: Number(ino),
      protocol: Number(protocol),
      portid: Number(portid),
      isListing: listing !== "0",
    };
  });
}
