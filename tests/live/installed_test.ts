/** The command that `deno task install` makes: a bundle, which must be able to do what the checkout can. */

import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { install } from "../../scripts/install.ts";
import { becomesSleep, ImageHome, startSleeper } from "./round_trip.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const PLUGIN = fileURLToPath(new URL("../../examples/device_plugin.ts", import.meta.url));

async function output(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd: "/",
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.ok(success, text(stderr));
  return text(stdout);
}

Deno.test("the installed command does what the checkout does, for every user", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "stasis-install-" });
  try {
    await install({ prefix, uninstall: false, force: false });
    await output("/bin/chmod", ["-R", "a+rX", prefix]);
    const stasis = (...args: string[]) => output(`${prefix}/bin/stasis`, args);
    const checkout = (...args: string[]) =>
      output(Deno.execPath(), ["run", "--quiet", "--allow-all", "--no-check", MAIN, ...args]);

    using images = new ImageHome();
    await using subject = await startSleeper("");
    const saved = JSON.parse(
      await stasis("checkpoint", String(subject.pid), "-D", images.directory, "--json"),
    );
    assert.equal(saved.pid, subject.pid);
    await subject.waitGone();
    await stasis("restore", images.directory, "--detach");
    await becomesSleep(subject.pid);

    for (
      const args of [
        ["--help"],
        ["restore", "--help"],
        ["completions", "fish"],
        ["complete", "--", "restore", "--"],
        ["inspect", images.directory, "--verbose"],
        ["check", "--plugin", PLUGIN],
      ]
    ) {
      assert.equal(await stasis(...args), await checkout(...args), args.join(" "));
    }

    // Nobody else may write where the compiled code is, and everybody can use it.
    // (Deno itself may be in the home of root.)
    const reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
    const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", ...reads, "--"];
    const opened = await output("/usr/bin/setpriv", [...nobody, `${prefix}/bin/stasis`, "--help"]);
    assert.equal(opened, await stasis("--help"));
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});
