import { equal } from "@std/assert";
import { keepingName, NETLINK_AUDIT } from "./protocol.ts";

Deno.test("keepingName() lets sockets of NETLINK_AUDIT be that do not get the log", () => {
  const of = (daemon: number | undefined) => keepingName(NETLINK_AUDIT, daemon, [7, 8]);
  equal(of(0), undefined);
  equal(of(9), undefined);
  for (const daemon of [7, 8, undefined]) equal(of(daemon), "NETLINK_AUDIT");
  equal(keepingName(11, 0, []), "NETLINK_CONNECTOR");
  equal(keepingName(0, undefined, [7]), undefined);
});
