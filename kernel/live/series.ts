// SPDX-License-Identifier: MIT
/**
 * The series as what it is meant to be: mails that apply, that `checkpatch.pl` has nothing to say about,
 * and that compile at every step, with CONFIG_CHECKPOINT_RESTORE and without it.
 *
 * @module
 */

import { deepStrictEqual, strictEqual } from "@std/assert";
import { dirname, join } from "node:path";
import { readSeries, switchTree, touchedFiles } from "../build/series.ts";
import { configure, make, objectsDirectory, PRISTINE, TREE, withTree } from "../build/tree.ts";
import { INGREDIENTS } from "../build/variants.ts";
import { exists, run } from "../command.ts";
import { CHECKPATCH_PACKAGES, ensurePackages } from "../packages.ts";
import { FRAGMENT, PATCHES_DIR } from "../paths.ts";
import { Progress } from "../progress.ts";

const series = await readSeries(PATCHES_DIR);
const progress = new Progress();

Deno.test("git am takes the series and makes of it what the build compiles", async () => {
  await withTree(progress, () => switchTree(TREE, PRISTINE, "series", series));
  const repository = await Deno.makeTempDir({ prefix: "stasis-am-" });
  const git = (...args: string[]) =>
    run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", ...args], {
      cwd: repository,
    });
  try {
    await git("init", "-q");
    for (const file of touchedFiles(series)) {
      const original = await Deno.readFile(join(PRISTINE, file));
      if (original.length === 0) continue;
      await Deno.mkdir(dirname(join(repository, file)), { recursive: true });
      await Deno.writeFile(join(repository, file), original);
    }
    await git("add", "-A", "-f");
    await git("commit", "-q", "-m", "base");
    await git("am", "-q", ...series.map(({ name }) => join(PATCHES_DIR, name)));
    strictEqual((await git("rev-list", "--count", "HEAD")).trim(), `${series.length + 1}`);
    for (const file of touchedFiles(series)) {
      deepStrictEqual(
        await Deno.readTextFile(join(repository, file)),
        await Deno.readTextFile(join(TREE, file)),
        file,
      );
    }
  } finally {
    await Deno.remove(repository, { recursive: true });
  }
});

for (const { name } of series) {
  Deno.test(`checkpatch.pl --strict has nothing to say about ${name}`, async () => {
    await ensurePackages(CHECKPATCH_PACKAGES, (text) => progress.say(text));
    const patch = join(PATCHES_DIR, name);
    // Debian's Python, which has the modules for checking licence lines.
    const output = await run(
      ["scripts/checkpatch.pl", "--strict", "--terse", "--no-summary", patch],
      { cwd: TREE, env: { PATH: "/usr/bin:/bin" } },
    );
    strictEqual(output, "");
  });
}

/** Every object that is compiled from a file of the series. */
const COMPILED = [
  "fs/proc/array.o",
  "kernel/entry/syscall_user_dispatch.o",
  "kernel/ptrace.o",
  "kernel/sys.o",
];

Deno.test("the list of compiled objects is complete", () => {
  const sources = touchedFiles(series).filter((file) =>
    file.endsWith(".c") && !file.startsWith("tools/")
  );
  deepStrictEqual(sources.map((file) => file.replace(/c$/, "o")), COMPILED);
});

for (const [variant, option] of [["series", "y"], ["no-cr", "n"]] as const) {
  Deno.test(`every step compiles with CONFIG_CHECKPOINT_RESTORE=${option}`, async () => {
    const objects = objectsDirectory(`objects-step-${option}`);
    const fragment = await Deno.readTextFile(FRAGMENT) + INGREDIENTS[variant].config;
    await withTree(progress, async () => {
      await configure(objects, fragment);
      for (let step = 1; step <= series.length; step++) {
        await switchTree(TREE, PRISTINE, "series", series.slice(0, step));
        for (const object of COMPILED) {
          // So that nothing stands for a step that was compiled at another one.
          const path = join(objects, object);
          if (await exists(path)) await Deno.remove(path);
        }
        await make(objects, "KCFLAGS=-Werror", ...COMPILED);
      }
    });
  });
}
