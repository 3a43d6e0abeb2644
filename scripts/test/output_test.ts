import { deepEqual, equal } from "@std/assert";
import { HeldOutput } from "./output.ts";

Deno.test("HeldOutput holds lines and what programs print until it is released, and nothing after", async () => {
  const seen: string[] = [];
  const output = new HeldOutput((bytes) => void seen.push(new TextDecoder().decode(bytes)));
  const run = async (program: string) => {
    const { stdio } = output;
    const child = new Deno.Command("sh", { args: ["-c", program], stdout: stdio, stderr: stdio })
      .spawn();
    await output.take(child);
    equal((await child.status).code, 0);
  };
  output.print("first");
  await run("echo out");
  await run("echo error >&2");
  deepEqual(seen, []);
  output.release();
  equal(seen.join(""), "first\nout\nerror\n");
  await run("echo later");
  output.print("last");
  equal(seen.join(""), "first\nout\nerror\nlater\nlast\n");
});
