import { deepEqual } from "@std/assert";
import { parseNetNetlink } from "./net_netlink.ts";

Deno.test("parseNetNetlink() reads what the kernel writes", () => {
  const text =
    `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   3008       00000551 0        0        0     2        0        4711    
0000000000000000 15  4294963200 00000000 0        0        1     3        0        22      
`;
  deepEqual(parseNetNetlink(text), [
    { ino: 4711, protocol: 0, portid: 3008, isListing: false },
    { ino: 22, protocol: 15, portid: 4294963200, isListing: true },
  ]);
});
