// SPDX-License-Identifier: MIT
/**
 * The VM as such: what a command's output and status look like outside, what persists and what does not,
 * and that neither a hang nor a crash is taken for an answer.
 *
 * @module
 */

import { match, ok, rejects, strictEqual } from "@std/assert";
import { join } from "node:path";
import { exists } from "../command.ts";
import { REPOSITORY } from "../paths.ts";
import { TIMED_OUT } from "../vm/options.ts";
import { inVm, kernel } from "./kernels.ts";

const shell = (script: string) => ["sh", "-c", script];

Deno.test("runInVm() gives back both outputs and the exit status", async () => {
  const { status, stdout, stderr } = await inVm(
    "series",
    shell(`printf 'one\\r\\n\\ttwo'; echo bad >&2; echo worse >/dev/stderr; exit 200`),
  );
  strictEqual(stdout, "one\r\n\ttwo");
  strictEqual(stderr, "bad\nworse\n");
  strictEqual(status, 200);
});

Deno.test("runInVm() loses nothing of a long output", async () => {
  const { stdout } = await inVm("series", shell("seq 1 500000"));
  const lines = stdout.split("\n");
  strictEqual(lines.length, 500001);
  ok(lines.slice(0, -1).every((line, index) => line === `${index + 1}`));
});

Deno.test("runInVm() reports a signal as a shell does", async () => {
  strictEqual((await inVm("series", shell("kill -SEGV $$"))).status, 128 + 11);
});

Deno.test("runInVm() does not wait for what the command left running", async () => {
  const { status, seconds } = await inVm(
    "series",
    shell("sleep 1000 & setsid sleep 1000 & sleep 1000 & kill -STOP $!; exit 4"),
    { timeout: 60 },
  );
  strictEqual(status, 4);
  ok(seconds < 60);
});

Deno.test("runInVm() ends a VM that hangs", async () => {
  const { status, seconds } = await inVm(
    "series",
    shell("sleep 1000"),
    {
      timeout: 10,
    },
  );
  strictEqual(status, TIMED_OUT);
  ok(seconds < 20);
});

Deno.test("runInVm() does not take a panic for an answer, and shows it", async () => {
  await rejects(
    () => inVm("series", shell("echo c >/proc/sysrq-trigger")),
    /without a report[^]*sysrq triggered crash/,
  );
});

Deno.test("a command runs in the repository, and what it writes there is forgotten", async () => {
  const name = `written-in-the-vm-${Deno.pid}`;
  const { stdout } = await inVm("series", shell(`pwd; echo x >${name} && cat ${name} deno.json`));
  match(stdout, new RegExp(`^${REPOSITORY}\nx\n\\{`));
  strictEqual(await exists(join(REPOSITORY, name)), false);
});

Deno.test("/share outlives the VM: what one boot wrote, another one reads", async () => {
  const share = await Deno.makeTempDir({ prefix: "stasis-share-" });
  try {
    const write = shell(
      "dd if=/dev/urandom of=/share/data bs=1M count=20 2>/dev/null; md5sum /share/data",
    );
    const first = await inVm("series", write, { share });
    strictEqual(first.status, 0);
    const second = await inVm("series", shell("md5sum /share/data"), { share });
    strictEqual(second.stdout, first.stdout);
    strictEqual((await Deno.stat(join(share, "data"))).size, 20 << 20);
  } finally {
    await Deno.remove(share, { recursive: true });
  }
});

Deno.test("Deno runs inside, with the packages of deno.json and without a network", async () => {
  const code = `
    const { Command } = await import("commander");
    const { create } = await import("@bufbuild/protobuf");
    console.log(typeof Command, typeof create, Deno.version.deno);
  `;
  const { stdout, stderr } = await inVm("series", ["deno", "eval", code]);
  strictEqual(stdout, `function function ${Deno.version.deno}\n`, stderr);
});

Deno.test("Debian's criu runs inside and finds what it needs", async () => {
  const { stdout, stderr, status } = await inVm("series", ["criu", "check"]);
  match(stdout + stderr, /Looks good/);
  strictEqual(status, 0);
});

Deno.test("deno task vm appends to a file that others write to", async () => {
  await kernel("series");
  const file = await Deno.makeTempFile({ prefix: "stasis-vm-output-" });
  try {
    const vm = `"${Deno.execPath()}" run -A kernel/vm.ts sh -c 'echo inside; echo complaint >&2'`;
    const { success } = await new Deno.Command("sh", {
      args: ["-c", `{ echo before; ${vm}; echo after; } >"$1" 2>&1`, "sh", file],
      cwd: REPOSITORY,
    }).output();
    strictEqual(success, true);
    const lines = (await Deno.readTextFile(file)).trim().split("\n");
    strictEqual(
      [lines[0], ...lines.slice(1, 3).sort(), ...lines.slice(3)].join(),
      [
        "before",
        "complaint",
        "inside",
        "after",
      ].join(),
    );
  } finally {
    await Deno.remove(file);
  }
});
