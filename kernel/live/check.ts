// SPDX-License-Identifier: MIT
/**
 * `stasis check` in each kernel names the back end that this kernel has, and whether it can suspend seccomp.
 *
 * @module
 */

import { deepStrictEqual, match, strictEqual } from "@std/assert";
import { EXIT_STATUS } from "../../base/errors.ts";
import { type Variant, VARIANTS } from "../build/variants.ts";
import { inVm } from "./kernels.ts";

/** What `check --json` says of a kernel. */
interface Report {
  readonly kernel: string;
  readonly features: readonly {
    readonly name: string;
    readonly available: boolean;
    readonly required: boolean;
    readonly plugin: string;
  }[];
}

/** What it says of Syscall User Dispatch. */
const DISPATCH: Readonly<Record<Variant, readonly (readonly [string, boolean])[]>> = {
  series: [
    ["Syscall User Dispatch: back end series", true],
    ["inclusive mode of Syscall User Dispatch", false],
  ],
  plain: [
    ["Syscall User Dispatch: back end none", false],
    ["inclusive mode of Syscall User Dispatch", false],
  ],
  "no-cr": [
    ["Syscall User Dispatch: back end none", false],
    ["inclusive mode of Syscall User Dispatch", false],
  ],
};

/** Which kernels let a tracer suspend seccomp: those with CONFIG_CHECKPOINT_RESTORE. */
const SUSPENDS_SECCOMP: Readonly<Record<Variant, boolean>> = {
  series: true,
  plain: true,
  "no-cr": false,
};

/** What is required and missing, by kernel. */
const MISSING: Readonly<Record<Variant, readonly string[]>> = {
  series: [],
  plain: [],
  "no-cr": ["PR_SET_MM_MAP"],
};

for (const variant of VARIANTS) {
  Deno.test(`stasis check names the back end of the ${variant} kernel`, async () => {
    const { status, stdout, stderr } = await inVm(
      variant,
      ["deno", "run", "-A", "--no-check", "cli/main.ts", "check", "--json"],
    );
    strictEqual(status, MISSING[variant].length > 0 ? EXIT_STATUS["kernel-too-old"] : 0, stderr);
    const { kernel, features } = JSON.parse(stdout) as Report;
    match(kernel, /^6\.1\./);
    deepStrictEqual(
      features.filter(({ plugin }) => plugin === "sud")
        .map(({ name, available }) => [name, available]),
      DISPATCH[variant],
    );
    const suspends = features.find(({ name }) => name.includes("PTRACE_O_SUSPEND_SECCOMP"));
    strictEqual(suspends?.available, SUSPENDS_SECCOMP[variant]);
    deepStrictEqual(
      features.filter(({ required, available }) => required && !available).map(({ name }) => name),
      MISSING[variant],
    );
  });
}
