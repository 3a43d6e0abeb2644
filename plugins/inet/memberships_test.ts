import { deepEqual } from "@std/assert";
import { parseIgmp, parseIgmp6 } from "./memberships.ts";

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
