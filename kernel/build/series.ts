// SPDX-License-Identifier: MIT
/**
 * The patch series and a source tree that has it, or has not: the tree is switched by rewriting only the
 * files that differ, so that `make` rebuilds only what depends on them.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { exists, run } from "../command.ts";

/** One patch of the series. */
export interface Patch {
  /** File name, such as `0001-ptrace-….patch`. */
  readonly name: string;
  readonly text: string;
}

/** The source that a kernel is built from: the distribution's as it is, or with our series. */
export type Source = "plain" | "series";

/** Reads the patches of a directory in the order of their names. */
export async function readSeries(directory: string): Promise<Patch[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    if (entry.name.endsWith(".patch")) names.push(entry.name);
  }
  return await Promise.all(
    names.sort().map(async (name) => ({
      name,
      text: await Deno.readTextFile(join(directory, name)),
    })),
  );
}

/** The files that patches change or create, each once, sorted. Renames do not occur in this series. */
export function touchedFiles(series: readonly Patch[]): string[] {
  const files = new Set<string>();
  for (const { text } of series) {
    for (const match of text.matchAll(/^diff --git a\/(\S+) b\/(\S+)$/gm)) {
      files.add(match[1]!);
      files.add(match[2]!);
    }
  }
  return [...files].sort();
}

/**
 * Makes a tree be one of the two sources.
 *
 * @param tree the unpacked source
 * @param pristine where this keeps the original of each file that it has ever changed
 * @returns how many files were rewritten
 * @throws StasisError if a patch does not apply without fuzz
 */
export async function switchTree(
  tree: string,
  pristine: string,
  source: Source,
  series: readonly Patch[],
): Promise<number> {
  await rememberOriginals(tree, pristine, touchedFiles(series));
  const scratch = await Deno.makeTempDir({ prefix: "stasis-series-" });
  try {
    const known = await filesBelow(pristine);
    for (const file of known) await copy(join(pristine, file), join(scratch, file));
    if (source === "series") {
      for (const { text } of series) {
        await run(["patch", "-d", scratch, "-p1", "-F0", "-s", "-f"], {
          stdin: new TextEncoder().encode(text),
        });
      }
    }
    const wanted = await filesBelow(scratch);
    let changed = 0;
    for (const file of new Set([...known, ...wanted])) {
      const path = join(tree, file);
      const content = await readOrUndefined(join(scratch, file));
      // An empty original stands for a file that the distribution does not have.
      const target = content?.length ? content : undefined;
      const now = await readOrUndefined(path);
      if (target === undefined && now !== undefined) await Deno.remove(path);
      else if (target !== undefined && !sameBytes(target, now)) {
        await Deno.mkdir(dirname(path), { recursive: true });
        await Deno.writeFile(path, target);
      } else continue;
      changed++;
    }
    return changed;
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

async function rememberOriginals(tree: string, pristine: string, files: readonly string[]) {
  for (const file of files) {
    const kept = join(pristine, file);
    if (await exists(kept)) continue;
    await Deno.mkdir(dirname(kept), { recursive: true });
    await Deno.writeFile(kept, await readOrUndefined(join(tree, file)) ?? new Uint8Array());
  }
}

async function filesBelow(directory: string, prefix = ""): Promise<string[]> {
  const files: string[] = [];
  if (!await exists(join(directory, prefix))) return files;
  for await (const entry of Deno.readDir(join(directory, prefix))) {
    const path = join(prefix, entry.name);
    if (entry.isDirectory) files.push(...await filesBelow(directory, path));
    else files.push(path);
  }
  return files;
}

async function copy(from: string, to: string): Promise<void> {
  const bytes = await Deno.readFile(from);
  // `patch` wants a file that it creates to be absent.
  if (bytes.length === 0) return;
  await Deno.mkdir(dirname(to), { recursive: true });
  await Deno.writeFile(to, bytes);
}

async function readOrUndefined(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((byte, index) => byte === b[index]);
}
