import assert from "@std/assert";
import { EXIT_STATUS } from "../base/errors.ts";
import { install, launcher, quote } from "./install.ts";

const options = (prefix: string) => ({ prefix, uninstall: false, force: false, types: false });

async function run(path: string, ...args: string[]) {
  const output = await new Deno.Command(path, { args, cwd: "/" }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}

Deno.test("install() makes a command that works anywhere and goes away again", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "stasis install '" });
  try {
    await install(options(prefix));
    await install(options(prefix)); // a second time replaces the first
    const { code, stdout } = await run(`${prefix}/bin/stasis`, "--version");
    assert.equal(code, 0);
    assert.match(stdout, /^\d+\.\d+\.\d+$/);
    assert.equal((await run(`${prefix}/bin/stasis`, "no such")).code, 2);

    assert.match(await install({ ...options(prefix), uninstall: true }), /removed/);
    assert.deepEqual([...Deno.readDirSync(prefix)], []);
    assert.match(await install({ ...options(prefix), uninstall: true }), /there is no/);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});

Deno.test("install() makes commands that load neither Node's modules nor encoded schemas, and what takes them away", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "stasis-install-" });
  try {
    await install(options(prefix));
    for (const { name, isFile } of Deno.readDirSync(`${prefix}/lib/stasis`)) {
      if (!isFile || !name.endsWith(".js")) continue;
      const text = await Deno.readTextFile(`${prefix}/lib/stasis/${name}`);
      // Each of them costs what a small checkpoint costs: an eighth of all. What commander is loaded for needs them, and a new plugin's text names one.
      if (!/^(program|commander|new_plugin)-/.test(name)) {
        assert.doesNotMatch(text, /from "node:/, name);
      }
      assert.doesNotMatch(text, /FileDescriptorProto/, name);
      // Deno would read it at the start of every command, needed or not.
      assert.doesNotMatch(text, /\bimport\("\.\//, name);
    }
    // Without the checkout; what somebody else has put in the place of a file stays, and where it is.
    const page = `${prefix}/share/man/man1/stasis.1`;
    await Deno.writeTextFile(page, "another's");
    assert.equal((await run("/bin/sh", `${prefix}/lib/stasis/uninstall`)).code, 0);
    assert.deepEqual([...Deno.readDirSync(prefix)].map(({ name }) => name), ["share"]);
    assert.deepEqual([...Deno.readDirSync(`${prefix}/share`)].map(({ name }) => name), ["man"]);
    assert.equal(await Deno.readTextFile(page), "another's");
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});

Deno.test("install() leaves what is not its own alone", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "stasis-install-" });
  try {
    await Deno.mkdir(`${prefix}/bin`);
    await Deno.writeTextFile(`${prefix}/bin/stasis`, "#!/bin/sh\necho other\n");
    await assert.rejects(install(options(prefix)), RangeError);
    await assert.rejects(install({ ...options(prefix), uninstall: true }), RangeError);
    assert.match(await Deno.readTextFile(`${prefix}/bin/stasis`), /other/);
    await install({ ...options(prefix), force: true });
    assert.doesNotMatch(await Deno.readTextFile(`${prefix}/bin/stasis`), /other/);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});

Deno.test("install() leaves a directory that is not its own alone", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "stasis-install-" });
  try {
    await Deno.mkdir(`${prefix}/lib/stasis`, { recursive: true });
    await assert.rejects(install(options(prefix)), RangeError);
    await assert.rejects(install({ ...options(prefix), uninstall: true }), RangeError);
    assert.deepEqual([...Deno.readDirSync(prefix)].map(({ name }) => name), ["lib"]);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});

Deno.test("launcher() says what is gone", async () => {
  const directory = await Deno.makeTempDir({ prefix: "stasis-install-" });
  try {
    const script = `${directory}/stasis`;
    const text = launcher(Deno.execPath(), "/gone/lib");
    await Deno.writeTextFile(script, text, { mode: 0o755 });
    for (const args of [[], ["--plugin", "x"], ["script", "x"]]) {
      const { code, stderr } = await run(script, ...args);
      assert.equal(code, EXIT_STATUS.io);
      assert.match(stderr, /\/gone\/lib\/main\.js is gone/);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("launcher() says that the working directory is gone, where Deno would not start", async () => {
  const directory = await Deno.makeTempDir({ prefix: "stasis-install-" });
  try {
    const script = `${directory}/stasis`;
    await Deno.writeTextFile(script, launcher(Deno.execPath(), directory), { mode: 0o755 });
    const gone = `mkdir "${directory}/gone" && cd "${directory}/gone" && rmdir "$PWD" && ${script}`;
    const { code, stderr } = await run("/bin/sh", "-c", gone);
    assert.equal(code, EXIT_STATUS.io);
    assert.match(stderr, /the working directory is gone/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("quote() keeps every character", async () => {
  const word = `a 'b' "c" $d \\`;
  const { stdout } = await run("/bin/sh", "-c", `printf %s ${quote(word)}`);
  assert.equal(stdout, word);
});
