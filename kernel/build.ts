// SPDX-License-Identifier: MIT
/**
 * `deno task kernel:build`: builds the test kernels that are not in the cache yet.
 *
 *     deno task kernel:build [plain|series|no-cr]
 *
 * @module
 */

import { StasisError } from "../base/errors.ts";
import { type Variant, VARIANTS } from "./build/variants.ts";
import { ensureKernels } from "./build/kernel.ts";
import { formatTimings, Progress } from "./progress.ts";

if (import.meta.main) {
  const wanted = Deno.args;
  if (!wanted.every((name): name is Variant => (VARIANTS as readonly string[]).includes(name))) {
    console.error(`usage: deno task kernel:build [${VARIANTS.join("|")}]`);
    Deno.exit(2);
  }
  const progress = new Progress();
  try {
    const kernels = await ensureKernels(progress, wanted.length > 0 ? wanted : VARIANTS);
    if (progress.timings.length > 0) console.error(formatTimings(progress.timings));
    for (const { variant, vmlinux } of kernels.values()) console.log(`${variant}\t${vmlinux}`);
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
    console.error(`error: ${error.message}${error.hint ? `\nhint: ${error.hint}` : ""}`);
    Deno.exit(error.exitStatus);
  }
}
