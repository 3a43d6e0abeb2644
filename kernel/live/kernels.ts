// SPDX-License-Identifier: MIT
/**
 * The kernels for the tests of this directory, built once a run, and how a command is run in each.
 *
 * @module
 */

import type { Variant } from "../build/variants.ts";
import { type BuiltKernel, ensureKernels } from "../build/kernel.ts";
import { ensurePackages, PEER_PACKAGES, VM_PACKAGES } from "../packages.ts";
import { formatTimings, Progress } from "../progress.ts";
import type { VmOptions, VmResult } from "../vm/options.ts";
import { runInVm } from "../vm/run.ts";

let kernels: Promise<Map<Variant, BuiltKernel>> | undefined;

/** A kernel of ours. The first call builds what is missing and says where the time went. */
export async function kernel(variant: Variant): Promise<BuiltKernel> {
  kernels ??= prepare();
  return (await kernels).get(variant)!;
}

async function prepare(): Promise<Map<Variant, BuiltKernel>> {
  const progress = new Progress();
  await ensurePackages([...VM_PACKAGES, ...PEER_PACKAGES], (text) => progress.say(text));
  const built = await ensureKernels(progress);
  if (progress.timings.length > 0) progress.say(formatTimings(progress.timings));
  return built;
}

/** Runs a command in a VM of its own. */
export async function inVm(
  variant: Variant,
  argv: readonly string[],
  options: Omit<VmOptions, "kernel" | "argv"> = {},
): Promise<VmResult> {
  return await runInVm({ timeout: 120, ...options, kernel: await kernel(variant), argv });
}
