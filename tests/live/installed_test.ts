/** The command that `deno task install` makes: a bundle, which must be able to do what the checkout can. */

import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { dirname } from "node:path";
import { install } from "../../scripts/install.ts";
import { becomesSleep, ImageHome, startSleeper } from "./round_trip.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MAIN = `${ROOT}cli/main.ts`;
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
        ["inspect", images.directory, "--verbose"],
        ["check", "--plugin", PLUGIN],
      ]
    ) {
      assert.equal(await stasis(...args), await checkout(...args), args.join(" "));
    }

    // Everybody can use it, also where neither the checkout nor this Deno is there any more.
    const hide = [ROOT, dirname(Deno.execPath())].map((path) => `mount -t tmpfs none "${path}"`);
    const nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --";
    const opened = await output("/usr/bin/unshare", [
      ...["--mount", "/bin/sh", "-ec"],
      `${hide.join("; ")}; exec ${nobody} "${prefix}/bin/stasis" --help`,
    ]);
    assert.equal(opened, await stasis("--help"));

    const page = await output("/usr/bin/man", ["-l", `${prefix}/share/man/man1/stasis.1`]);
    assert.match(page, /^NAME\n +stasis - /m);
    assert.match(page, /^ +-R, --leave-running\n/m);
    assert.match(page, /^ +9 +at restore a pid or a name is taken/m);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});
