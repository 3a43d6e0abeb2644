// SPDX-License-Identifier: MIT
import { deepStrictEqual, strictEqual, throws } from "@std/assert";
import { parseCommandLine } from "./vm.ts";

Deno.test("parseCommandLine() gives the command everything from its name on", () => {
  const line = parseCommandLine(["--", "deno", "test", "--no-check", "--kernel", "x"]);
  deepStrictEqual(line.argv, ["deno", "test", "--no-check", "--kernel", "x"]);
  strictEqual(line.kernel, "series");
});

Deno.test("parseCommandLine() reads options before the command, in both spellings", () => {
  const line = parseCommandLine(["--kernel", "plain", "--timeout=7", "--share", "/d", "ls", "-l"]);
  deepStrictEqual(line, {
    kernel: "plain",
    argv: ["ls", "-l"],
    timeout: 7,
    memory: undefined,
    share: "/d",
  });
});

Deno.test("parseCommandLine() refuses what it does not understand", () => {
  throws(() => parseCommandLine([]), /no command/);
  throws(() => parseCommandLine(["--kernel", "6.1", "ls"]), /no kernel 6\.1/);
  throws(() => parseCommandLine(["--memory", "lots", "ls"]), /--memory/);
  throws(() => parseCommandLine(["--nonsense", "x", "ls"]), /nonsense/);
});
