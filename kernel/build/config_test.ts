// SPDX-License-Identifier: MIT
import { deepStrictEqual } from "@std/assert";
import { configDifferences, parseConfig } from "./config.ts";

Deno.test("parseConfig() reads set and unset symbols, and the last line wins", () => {
  const config = parseConfig(
    '# a comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S="-k"\nCONFIG_N=4\n# CONFIG_A is not set\n',
  );
  deepStrictEqual([...config], [
    ["CONFIG_A", undefined],
    ["CONFIG_B", undefined],
    ["CONFIG_S", '"-k"'],
    ["CONFIG_N", "4"],
  ]);
});

Deno.test("configDifferences() names what was dropped, changed or switched on", () => {
  const wanted = parseConfig(
    "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n# CONFIG_D is not set\nCONFIG_N=4\n",
  );
  const actual = parseConfig("CONFIG_A=y\nCONFIG_C=y\nCONFIG_N=8\n");
  deepStrictEqual(configDifferences(wanted, actual), [
    "CONFIG_B: wanted y, is not set",
    "CONFIG_C: wanted not set, is y",
    "CONFIG_N: wanted 4, is 8",
  ]);
});

Deno.test("configDifferences() is satisfied by an absent symbol that was to be off", () => {
  deepStrictEqual(
    configDifferences(parseConfig("# CONFIG_X is not set"), parseConfig("CONFIG_Y=y")),
    [],
  );
});
