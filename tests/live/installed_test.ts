/** The command that `deno task install` makes: a bundle, which must be able to do what the checkout can. */

import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { dirname } from "node:path";
import { install } from "../../scripts/install.ts";
import { CLOSE_INHERITED } from "../harness/close_inherited.ts";
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
    await install({ prefix, uninstall: false, force: false, types: true });
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

    // Everybody can use it, also where neither the checkout nor npm's Deno is there any more.
    const names = [...Deno.readDirSync(`${prefix}/lib/stasis`)].map(({ name }) => name);
    const gone = [ROOT, ...names.includes("deno") ? [dirname(Deno.execPath())] : []];
    const hide = gone.map((path) => `mount -t tmpfs none "${path}"`);
    const nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --";
    const opened = (words: string) =>
      output("/usr/bin/unshare", [
        ...["--mount", "/bin/sh", "-ec"],
        `${hide.join("; ")}; exec ${nobody} env -i NO_COLOR=1 "${prefix}/bin/stasis" ${words}`,
      ]);
    assert.equal(await opened("--help"), await stasis("--help"));
    const script = `${prefix}/script.ts`;
    await Deno.writeTextFile(
      script,
      `import { EXIT_STATUS, kinds } from "stasis";
       const status: number = EXIT_STATUS.usage;
       console.log(status, kinds.pstree.file, ...Deno.args);`,
    );
    assert.equal(await opened(`script --check ${script} a`), "2 pstree.img a\n");
    const plugin = `${prefix}/plugin.ts`;
    await Deno.copyFile(PLUGIN, plugin);
    assert.match(
      await opened(`check --plugin ${plugin}`),
      /^yes +checkpoint of your own programs/m,
    );

    await asOrdinaryUser(prefix);

    const page = await output("/usr/bin/man", ["-l", `${prefix}/share/man/man1/stasis.1`]);
    assert.match(page, /^NAME\n +stasis - /m);
    assert.match(await Deno.readTextFile(`${prefix}/share/doc/stasis/docs/support.md`), /^# /m);
    assert.match(page, /^ +-R, --leave-running\n/m);
    assert.match(page, /^ +9 +at restore a pid or a name is taken/m);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});

/** What a user without any privilege does, one command after the other; each line says how the command ended. */
const ORDINARY = `
stasis check | grep -E '^(yes|no) .* of '
setsid sleep 1000 </dev/null >/dev/null 2>&1 &
sleeper=$!
until [ "$(cat /proc/$sleeper/comm)" = sleep ]; do sleep 0.01; done
setsid sleep 1000 <&0 >/dev/null 2>&1 &
stasis checkpoint $! -D hidden 2>&1
echo "hidden: $?"
kill $!
stasis checkpoint $1 -D other 2>&1
echo "other: $?"
stasis checkpoint $sleeper -D saved >/dev/null 2>&1
echo "own: $?"
wait $sleeper
stasis restore saved --detach 2>&1
echo "restore: $?"
stasis restore saved --detach --new-pid-namespace --pidfile pid 2>/dev/null
echo "apart: $?"
cat /proc/$(cat pid)/comm
grep -c "^NSpid:.*$sleeper$" /proc/$(cat pid)/status
said=$(stasis checkpoint $(cat pid) 2>&1)
said="\${said##*: nsenter}"
eval "nsenter\${said%%; from outside*}" >/dev/null
echo "again: $?"
kill $(cat pid) 2>/dev/null
`;

/** Does that: with an id that nobody has, and not a single capability. */
async function asOrdinaryUser(prefix: string): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "stasis-user-" });
  try {
    await Deno.chown(home, 65534, 65534);
    const none = ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    await Deno.mkdir(`${home}/closed`, { mode: 0o700 });
    await Deno.writeTextFile(`${home}/closed/file`, "");
    const { stdout, stderr } = await new Deno.Command("/bin/sh", {
      args: [
        ...["-c", `exec "$@" <${home}/closed/file`, "sh", "setpriv"],
        ...["--reuid=65534", "--regid=65534", ...none, "--", "/bin/bash", "-c"],
        `${CLOSE_INHERITED}; cd ${home}; ${ORDINARY}`,
        "bash",
        String(Deno.pid),
      ],
      env: { PATH: `${prefix}/bin:/usr/bin:/bin`, NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.match(text, /^yes +checkpoint of your own programs +but for programs under seccomp/m);
    assert.match(text, /^no +checkpoint of others' programs +CAP_SYS_PTRACE is missing$/m);
    assert.match(text, /^no +restore of others' programs +CAP_CHECKPOINT_RESTORE, CAP_SETUID/m);
    assert.match(text, /^stasis: task \d+ \(.*\) is of user 0, and this process of user 65534/m);
    assert.match(text, /its descriptor 0 is .*\/closed\/file, which this process may not look at/);
    assert.match(text, /^hidden: 4$/m);
    assert.match(text, /^other: 5\nown: 0$/m);
    assert.match(
      text,
      /^stasis: .* takes CAP_CHECKPOINT_RESTORE, which is missing\nhint: restore/m,
    );
    assert.match(text, /^restore: 5$/m);
    // A machine may forbid user namespaces, which check tells.
    if (/^yes +restore of your own programs +with --new-pid-namespace/m.test(text)) {
      assert.match(
        text,
        /^\d+: runs again, as \d+ in its pid namespace .*\napart: 0\nsleep\n1\nagain: 0$/m,
      );
    } else {
      assert.match(text, /^apart: 5$/m);
    }
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}
