import assert from "@std/assert";

const MAIN = new URL("./main.ts", import.meta.url).pathname;

async function stasis(...args: string[]): Promise<string> {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", MAIN, ...args],
    stderr: "inherit",
  }).output();
  assert.ok(success);
  return new TextDecoder().decode(stdout);
}

Deno.test("completions prints a script for each shell, which asks stasis complete", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    assert.match(await stasis("completions", shell), /stasis complete --/, shell);
  }
});

Deno.test("complete knows commands and options", async () => {
  const words = (text: string) => text.split("\n").map((line) => line.split("\t")[0]);
  const commands = words(await stasis("complete", "--", ""));
  for (const name of ["checkpoint", "restore", "check", "inspect"]) {
    assert.ok(commands.includes(name), name);
  }
  assert.ok(words(await stasis("complete", "--", "restore", "--de")).includes("--detach"));
});
