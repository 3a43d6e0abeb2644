// SPDX-License-Identifier: MIT
import { deepStrictEqual, strictEqual } from "@std/assert";
import { parseStatus, runScript, settingsScript, shellQuote } from "./job.ts";

Deno.test("shellQuote() survives a shell", async () => {
  const words = ["plain", "two words", "it's", '$HOME `x` \\ "q"', "", "line\nbreak", "*"];
  const script = `printf '%s\\0' ${words.map(shellQuote).join(" ")}`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  deepStrictEqual(new TextDecoder().decode(stdout).split("\0").slice(0, -1), words);
});

Deno.test("runScript() runs the command in its directory with only its environment", async () => {
  const script = runScript(["sh", "-c", 'echo "$PWD $A $HOME-"; exit 3'], "/", {
    PATH: "/usr/bin:/bin",
    A: "it's",
  });
  const { code, stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  strictEqual(code, 3);
  strictEqual(new TextDecoder().decode(stdout), "/ it's -\n");
});

Deno.test("settingsScript() says where the repository is and if there is a share", () => {
  strictEqual(settingsScript("/a b", true), "REPOSITORY='/a b'\nSHARE=yes\n");
  strictEqual(settingsScript("/a", false), "REPOSITORY='/a'\nSHARE=\n");
});

Deno.test("parseStatus() accepts a whole report only", () => {
  strictEqual(parseStatus("0\n"), 0);
  strictEqual(parseStatus("137\n"), 137);
  for (const text of ["", "1", "256\n", "-1\n", "x\n", "1\n2\n"]) {
    strictEqual(parseStatus(text), undefined);
  }
});
