// SPDX-License-Identifier: MIT
/**
 * Finds out whether KVM works. That `/dev/kvm` can be opened does not mean that it can run a kernel:
 * inside another VM it often cannot. So one is booted, once a boot of this machine.
 *
 * @module
 */

import { join } from "node:path";
import type { BuiltKernel } from "../build/kernel.ts";
import { exists } from "../command.ts";
import { VM_CACHE } from "../paths.ts";
import type { VmOptions, VmResult } from "./options.ts";
import type { Accelerator } from "./qemu.ts";

/** A boot takes 2 s even without KVM; a KVM that needs longer than this is of no use. */
const PROBE_SECONDS = 20;

/**
 * Which accelerator to use.
 *
 * @param kernel what to boot for the probe
 * @param boot boots it; {@linkcode runInVm}
 */
export async function chooseAccelerator(
  kernel: BuiltKernel,
  boot: (options: VmOptions) => Promise<VmResult>,
): Promise<Accelerator> {
  if (!await canOpen("/dev/kvm")) return "tcg";
  const bootId = (await Deno.readTextFile("/proc/sys/kernel/random/boot_id")).trim();
  const answer = join(VM_CACHE, `accelerator-${bootId}`);
  if (await exists(answer)) return await Deno.readTextFile(answer) === "kvm" ? "kvm" : "tcg";

  const works = await boot({ kernel, argv: ["true"], timeout: PROBE_SECONDS, accelerator: "kvm" })
    .then(({ status }) => status === 0, () => false);
  const accelerator = works ? "kvm" : "tcg";
  await Deno.mkdir(VM_CACHE, { recursive: true });
  await Deno.writeTextFile(answer, accelerator);
  return accelerator;
}

async function canOpen(path: string): Promise<boolean> {
  try {
    using _file = await Deno.open(path, { read: true, write: true });
    return true;
  } catch {
    return false;
  }
}
