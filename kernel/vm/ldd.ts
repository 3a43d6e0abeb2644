// SPDX-License-Identifier: MIT
/**
 * The shared libraries that a program needs.
 *
 * @module
 */

import { run } from "../command.ts";

/** The paths in the output of `ldd`: libraries and the dynamic linker; the vDSO has none. */
export function parseLdd(output: string): string[] {
  const paths: string[] = [];
  for (const line of output.split("\n")) {
    const path = /(?:=> )?(\/\S+) \(0x[0-9a-f]+\)$/.exec(line)?.[1];
    if (path) paths.push(path);
    const missing = /^\s*(\S+) => not found$/.exec(line)?.[1];
    if (missing) throw new Error(`a library is missing on this machine: ${missing}`);
  }
  return paths;
}

/** The libraries of programs, each once. A statically linked program has none. */
export async function librariesOf(programs: readonly string[]): Promise<string[]> {
  const paths = new Set<string>();
  for (const program of programs) {
    // ldd fails on a static program, and says so.
    const output = await run(["sh", "-c", 'ldd "$1" 2>&1 || :', "sh", program]);
    for (const path of parseLdd(output)) paths.add(path);
  }
  return [...paths].sort();
}
