import assert from "@std/assert";
import { Surroundings } from "./leftovers.ts";

Deno.test("leftovers() finds processes and files, and nothing where nothing is", async () => {
  const checkout = await Deno.makeTempDir({ prefix: "stasis-checkout-" });
  try {
    await using surroundings = await Surroundings.create(checkout);
    assert.deepEqual(await surroundings.leftovers(), []);

    await Deno.writeTextFile(`${surroundings.directory}/forgotten`, "");
    await Deno.writeTextFile(`${checkout}/new`, "");
    const child = new Deno.Command("sleep", { args: ["60"], env: surroundings.env }).spawn();
    // Read when it is a sleep: between fork and exec it still is this process.
    for (let round = 0; round < 1000; round++) {
      if (surroundings.processes()[0]?.text.endsWith("sleep 60")) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const [process, ...others] = await surroundings.leftovers();
    assert.match(process!, new RegExp(`^process ${child.pid} still runs: .*sleep 60$`));
    assert.deepEqual(others, [
      `temporary file: ${surroundings.directory}/forgotten`,
      "new in the checkout: new",
    ]);

    await surroundings[Symbol.asyncDispose]();
    assert.equal((await child.status).signal, "SIGKILL");
    assert.throws(() => Deno.statSync(surroundings.directory), Deno.errors.NotFound);
    await Deno.mkdir(surroundings.directory);
  } finally {
    await Deno.remove(checkout, { recursive: true });
  }
});

Deno.test("leftovers() finds what a tool that is dead has started without an environment", async () => {
  const checkout = await Deno.makeTempDir({ prefix: "stasis-checkout-" });
  try {
    await using surroundings = await Surroundings.create(checkout);
    const start = 'exec -c -a "stasis-warm-up" sleep 60';
    const { success } = await new Deno.Command("bash", {
      args: ["-c", `(${start}) >/dev/null 2>&1 &`],
      cwd: checkout,
      stdin: "null",
    }).output();
    assert.equal(success, true);
    for (let round = 0; round < 1000 && surroundings.processes().length === 0; round++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const found = await surroundings.leftovers();
    assert.equal(found.length, 1);
    assert.match(found[0] as string, /^process \d+ still runs: stasis-warm-up 60$/);
  } finally {
    await Deno.remove(checkout, { recursive: true });
  }
});
