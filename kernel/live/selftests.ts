// SPDX-License-Identifier: MIT
/**
 * The selftests of dispatch on the kernels that they are for, and what each kernel answers to the three
 * features of the series. Their TAP goes to the output of the run.
 *
 * @module
 */

import { deepStrictEqual, strictEqual } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildProgram } from "../../tests/harness/build.ts";
import type { SELFTESTS } from "../build/kernel.ts";
import { type Variant, VARIANTS } from "../build/variants.ts";
import { type Expectation, parseTap, tapProblems } from "../vm/tap.ts";
import { inVm, kernel } from "./kernels.ts";

/**
 * What must pass. One test of sud_ptrace_test is for kernels without CONFIG_CHECKPOINT_RESTORE (that the option
 * is refused), all others are for those with it.
 */
const EXPECTED: readonly (readonly [Variant, typeof SELFTESTS[number], Expectation])[] = [
  ["plain", "sud_test", { pass: 6, skip: 0 }],
  ["series", "sud_test", { pass: 6, skip: 0 }],
  ["series", "sud_query_test", { pass: 14, skip: 0 }],
  ["series", "sud_ptrace_test", { pass: 25, skip: 1 }],
  ["no-cr", "sud_test", { pass: 6, skip: 0 }],
  ["no-cr", "sud_query_test", { pass: 14, skip: 0 }],
  ["no-cr", "sud_ptrace_test", { pass: 1, skip: 25 }],
];

for (const [variant, name, expected] of EXPECTED) {
  Deno.test(`${name} passes on the ${variant} kernel`, async () => {
    const { selftests } = await kernel(variant);
    const { status, stdout } = await inVm(variant, [`/share/${name}`], { share: selftests });
    console.log(stdout.trimEnd());
    deepStrictEqual(tapProblems(parseTap(stdout), expected), []);
    strictEqual(status, 0);
  });
}

/** What `probe.c` prints. */
const ANSWERS: Readonly<Record<Variant, Readonly<Record<string, string>>>> = {
  series: { seize: "0", attach: "0", setoptions: "0", getter: "0", status: "present" },
  "no-cr": {
    seize: "EINVAL",
    attach: "0",
    setoptions: "EINVAL",
    getter: "0",
    status: "present",
  },
  plain: { seize: "EIO", attach: "0", setoptions: "EINVAL", getter: "EINVAL", status: "absent" },
};

for (const variant of VARIANTS) {
  Deno.test(`the ${variant} kernel answers as it should to the three features`, async () => {
    const source = fileURLToPath(new URL("../vm/probe.c", import.meta.url));
    await using share = await directoryWith("probe", await buildProgram(source, ["-static"]));
    const { stdout } = await inVm(variant, ["/share/probe"], { share: share.path });
    deepStrictEqual(
      Object.fromEntries(stdout.trim().split("\n").map((line) => line.split(" "))),
      ANSWERS[variant],
    );
  });
}

async function directoryWith(name: string, file: string) {
  const path = await Deno.makeTempDir({ prefix: "stasis-probe-" });
  await Deno.copyFile(file, join(path, name));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
