import { deepEqual } from "@std/assert";
import { movedMemberships, parseIgmp, parseIgmp6 } from "./memberships.ts";

Deno.test("parseIgmp() tells the groups of each interface", () => {
  const text = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n" +
    "1\tlo        :     2      V3\n\t\t\t\t030201EF     1 0:00000000\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
    "4\teth0      :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n";
  deepEqual(
    parseIgmp(text).map(({ index, address }) => [index, address.join(".")]),
    [[1, "239.1.2.3"], [1, "224.0.0.1"], [4, "224.0.0.1"]],
  );
});

Deno.test("parseIgmp6() tells them of IPv6", () => {
  const [first] = parseIgmp6(
    "1    lo              ff020000000000000000000000000001     1 0000000C 0\n",
  );
  deepEqual([first?.index, first?.address.toHex()], [1, "ff020000000000000000000000000001"]);
});

Deno.test("movedMemberships() finds groups whose interface has another name by now", () => {
  const JOIN_GROUP = 42;
  const value = new Uint8Array(136);
  value[0] = 3;
  const join = { level: 0, name: JOIN_GROUP, value, interface: "eth0" };
  const names = (name: string | undefined) => (index: number) => index === 3 ? name : "lo";
  deepEqual(movedMemberships([join, { ...join, name: 1 }], names("eth0")), []);
  for (const now of ["eth1", undefined]) {
    deepEqual(movedMemberships([join], names(now)), [{ index: 3, before: "eth0", now }]);
  }
  // Older images do not say.
  deepEqual(movedMemberships([{ ...join, interface: "" }], names("eth1")), []);
});
