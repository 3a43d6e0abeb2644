// SPDX-License-Identifier: MIT
/**
 * The work tree: the distribution's source, unpacked once, and directories of objects beside it. It stays
 * between builds, so that a change costs only what depends on it.
 *
 * @module
 */

import { join } from "node:path";
import { StasisError } from "../../base/errors.ts";
import { exists, run } from "../command.ts";
import { BUILD_PACKAGES, ensurePackages, packageVersion, SOURCE_PACKAGE } from "../packages.ts";
import { KERNEL_CACHE } from "../paths.ts";
import type { Progress } from "../progress.ts";
import { configDifferences, parseConfig } from "./config.ts";

const WORK = join(KERNEL_CACHE, "work");

/** The source; of which variant it is, only {@linkcode switchTree} knows. */
export const TREE = join(WORK, SOURCE_PACKAGE);

/** The originals of the files that the series touches. */
export const PRISTINE = join(WORK, "pristine");

/** A directory of objects, by its name. */
export function objectsDirectory(name: string): string {
  return join(WORK, name);
}

/** The same result on every machine and every day: none of this must get into the kernel. */
export const REPRODUCIBLE = {
  KBUILD_BUILD_TIMESTAMP: "Thu Jan  1 00:00:00 UTC 1970",
  KBUILD_BUILD_USER: "stasis",
  KBUILD_BUILD_HOST: "stasis",
  LC_ALL: "C",
};

/**
 * Does something with the tree while nobody else does; unpacks it first, if it is not there or of
 * another version, and installs what working with it needs.
 */
export async function withTree<T>(progress: Progress, work: () => Promise<T>): Promise<T> {
  await Deno.mkdir(WORK, { recursive: true });
  using lock = await Deno.open(join(WORK, "lock"), { create: true, write: true });
  await progress.step("wait for other builds", () => lock.lock(true));
  await progress.step(
    "look for packages",
    () => ensurePackages(BUILD_PACKAGES, (text) => progress.say(text)),
  );
  const stamp = join(WORK, "source-version");
  const version = await packageVersion(SOURCE_PACKAGE);
  if (!await exists(stamp) || await Deno.readTextFile(stamp) !== version) {
    await progress.step(`unpack ${SOURCE_PACKAGE} ${version}`, async () => {
      await Deno.remove(stamp).catch(() => {});
      for await (const { name, isDirectory } of Deno.readDir(WORK)) {
        if (isDirectory) await Deno.remove(join(WORK, name), { recursive: true });
      }
      await run(["tar", "-C", WORK, "-xJf", `/usr/src/${SOURCE_PACKAGE}.tar.xz`]);
      await Deno.writeTextFile(stamp, version);
    });
  }
  return await work();
}

/**
 * Configures a directory of objects: `tinyconfig` with a fragment on top.
 *
 * @throws StasisError `internal` naming each line of the fragment that did not stick
 */
export async function configure(objects: string, fragment: string): Promise<void> {
  await Deno.mkdir(objects, { recursive: true });
  const scratch = await Deno.makeTempDir({ prefix: "stasis-config-" });
  const config = join(objects, ".config");
  try {
    const piece = join(scratch, "fragment");
    await Deno.writeTextFile(piece, fragment);
    await make(objects, "tinyconfig");
    await run(["scripts/kconfig/merge_config.sh", "-m", "-O", objects, config, piece], {
      cwd: TREE,
    });
    await make(objects, "olddefconfig");
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
  const lost = configDifferences(
    parseConfig(fragment),
    parseConfig(await Deno.readTextFile(config)),
  );
  if (lost.length > 0) {
    throw new StasisError(
      "internal",
      `kernel/vm.config asks for what this kernel cannot have: ${lost.join("; ")}`,
      { hint: "a dependency is missing, or the symbol has another name in this version" },
    );
  }
}

/** Runs `make` in the tree, silently, on as many processors as there are. */
export function make(objects: string, ...targets: string[]): Promise<string> {
  const jobs = `-j${navigator.hardwareConcurrency}`;
  return run(["make", "-s", jobs, `O=${objects}`, ...targets], { cwd: TREE, env: REPRODUCIBLE });
}
