// SPDX-License-Identifier: MIT
/**
 * Where the kernel's build and the VM keep things. Everything derived lives under `.cache` of the
 * repository (which `.gitignore` covers) or, with `STASIS_CACHE` set, under that directory.
 *
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The top of the repository. */
export const REPOSITORY = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** The patches of the series, in the order of their names. */
export const PATCHES_DIR = join(REPOSITORY, "kernel/patches");

/** The configuration fragment that is put on top of `tinyconfig`. */
export const FRAGMENT = join(REPOSITORY, "kernel/vm.config");

const CACHE = Deno.env.get("STASIS_CACHE") ?? join(REPOSITORY, ".cache");

/** Built kernels, one directory each, named by the hash of what they were made of; and the work tree. */
export const KERNEL_CACHE = join(CACHE, "kernel");

/** Images, the module cache for inside, and what was found out about this machine. */
export const VM_CACHE = join(CACHE, "vm");
