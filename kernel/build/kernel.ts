// SPDX-License-Identifier: MIT
/**
 * Makes the test kernels (see `variants.ts`), each as a `vmlinux` that QEMU boots, kept in a cache under the
 * hash of everything that went into it.
 *
 * All come from one work tree. The plain one is built first, then the files of the series are switched
 * in and `make` rebuilds what depends on them. The tree stays, so a change of a patch costs no more than that
 * either.
 *
 * @module
 */

import { join } from "node:path";
import { StasisError } from "../../base/errors.ts";
import { exists, hashOf, lastLines, run, spawn, tryRun } from "../command.ts";
import { BUILD_PACKAGES, ensurePackages, packageVersion, SOURCE_PACKAGE } from "../packages.ts";
import { FRAGMENT, KERNEL_CACHE, PATCHES_DIR } from "../paths.ts";
import type { Progress } from "../progress.ts";
import { type Patch, readSeries, switchTree } from "./series.ts";
import {
  configure,
  make,
  objectsDirectory,
  PRISTINE,
  REPRODUCIBLE,
  TREE,
  withTree,
} from "./tree.ts";
import { INGREDIENTS, type Variant, VARIANTS } from "./variants.ts";

/** The selftests of dispatch: the kernel's own one, and those that the series adds. */
export const SELFTESTS = ["sud_test", "sud_query_test", "sud_ptrace_test"] as const;

/** A kernel in the cache. */
export interface BuiltKernel {
  readonly variant: Variant;
  /** What QEMU boots. */
  readonly vmlinux: string;
  /** The whole configuration that it was built with. */
  readonly config: string;
  /** The directory of the selftests, statically linked; those of the series exist only where it is in. */
  readonly selftests: string;
}

/** The modules that say how a kernel is made: an input like any other. */
const RECIPE = ["kernel.ts", "tree.ts", "series.ts", "variants.ts"].map((name) =>
  new URL(name, import.meta.url)
);

/** Lines that `make` writes in a whole build; only for telling how far it is. */
const WHOLE_BUILD_LINES = 1950;

/**
 * Sees to it that kernels are built.
 *
 * @param variants which ones; all if absent
 * @returns them by variant
 * @throws StasisError `unsupported` where packages are missing and cannot be installed, `internal` with
 * the end of the compiler's output where the build fails
 */
export async function ensureKernels(
  progress: Progress,
  variants: readonly Variant[] = VARIANTS,
): Promise<Map<Variant, BuiltKernel>> {
  const series = await readSeries(PATCHES_DIR);
  const fragment = await Deno.readTextFile(FRAGMENT);
  const base = [
    ...await Promise.all(RECIPE.map((module) => Deno.readTextFile(module))),
    fragment,
    await packageVersion(SOURCE_PACKAGE),
    await compilerVersion(progress),
  ];
  const kernels = new Map<Variant, BuiltKernel>();
  for (const variant of VARIANTS.filter((variant) => variants.includes(variant))) {
    const { source, config } = INGREDIENTS[variant];
    const patches = source === "series" ? series.map(({ text }) => text) : [];
    const directory = join(KERNEL_CACHE, await hashOf([...base, config, ...patches]));
    const kernel: BuiltKernel = {
      variant,
      vmlinux: join(directory, "vmlinux"),
      config: join(directory, "config"),
      selftests: join(directory, "selftests"),
    };
    if (!await exists(directory)) {
      await withTree(
        progress,
        () => build(progress, kernel, directory, series, fragment + config),
      );
    }
    kernels.set(variant, kernel);
  }
  return kernels;
}

async function build(
  progress: Progress,
  kernel: BuiltKernel,
  directory: string,
  series: readonly Patch[],
  fragment: string,
): Promise<void> {
  // Another run may have built it while this one waited.
  if (await exists(directory)) return;
  const { variant } = kernel;
  const { source, objects: name } = INGREDIENTS[variant];
  const objects = objectsDirectory(name);
  await progress.step(`${variant}: switch the source tree`, async () => {
    const changed = await switchTree(TREE, PRISTINE, source, series);
    progress.say(`${changed} files rewritten`);
  });
  await progress.step(`${variant}: configure`, () => configure(objects, fragment));
  await progress.step(`${variant}: make vmlinux`, (update) => makeVmlinux(objects, update));

  const unfinished = `${directory}.unfinished`;
  await Deno.remove(unfinished, { recursive: true }).catch(() => {});
  await Deno.mkdir(join(unfinished, "selftests"), { recursive: true });
  await progress.step(
    `${variant}: build the selftests`,
    () => buildSelftests(objects, join(unfinished, "selftests")),
  );
  await Deno.copyFile(join(objects, "vmlinux"), join(unfinished, "vmlinux"));
  await Deno.copyFile(join(objects, ".config"), join(unfinished, "config"));
  await Deno.rename(unfinished, directory);
}

async function makeVmlinux(
  objects: string,
  update: (detail: string) => void,
): Promise<void> {
  const ccache = await tryRun(["ccache", "--version"]) !== undefined ? ["CC=ccache gcc"] : [];
  const child = spawn(
    new Deno.Command("make", {
      args: [`-j${navigator.hardwareConcurrency}`, `O=${objects}`, ...ccache, "vmlinux"],
      cwd: TREE,
      env: REPRODUCIBLE,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }),
    "make",
  );
  const log: string[] = [];
  let lines = 0;
  const follow = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      log.push(chunk);
      lines += chunk.split("\n").length - 1;
      const what = chunk.trimEnd().split("\n").at(-1)!.trim();
      update(`${what}, ${lines} of at most about ${WHOLE_BUILD_LINES}`);
    }
  };
  await Promise.all([follow(child.stdout), follow(child.stderr)]);
  const status = await child.status;
  if (!status.success) {
    throw new StasisError("internal", `the kernel does not build:\n${lastLines(log.join(""), 40)}`);
  }
}

/** Static, so that the VM needs nothing for them; against the headers that this kernel exports. */
async function buildSelftests(objects: string, directory: string): Promise<void> {
  await make(objects, "headers");
  const source = join(TREE, "tools/testing/selftests/syscall_user_dispatch");
  for (const name of SELFTESTS) {
    const file = join(source, `${name}.c`);
    if (!await exists(file)) continue;
    const flags = ["-O2", "-Wall", "-static", "-pthread", "-I", join(objects, "usr/include")];
    await run(["gcc", ...flags, file, "-o", join(directory, name)]);
  }
}

/** Of the compiler that the build would use: on a fresh machine that is the one to be installed. */
async function compilerVersion(progress: Progress): Promise<string> {
  const version = await tryRun(["gcc", "--version"]);
  if (version !== undefined) return version;
  await ensurePackages(BUILD_PACKAGES, (text) => progress.say(text));
  return await run(["gcc", "--version"]);
}
