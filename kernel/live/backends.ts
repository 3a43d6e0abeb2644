// SPDX-License-Identifier: MIT
/**
 * The back ends write the same images: those of a program that ran in the kernel with the series are compared
 * with those of the same program here, where the kernel has mainline's ptrace requests (6.4).
 *
 * @module
 */

import { deepStrictEqual, notDeepStrictEqual, strictEqual } from "@std/assert";
import { chooseBackend } from "../../plugins/sud/choose_backend.ts";
import { buildSubject } from "../../tests/harness/build.ts";
import { run } from "../command.ts";
import { REPOSITORY } from "../paths.ts";
import { inVm } from "./kernels.ts";

const SUBJECTS = [
  "sud_block",
  "sud_allow",
  "sud_null_selector",
  "sud_empty_range",
  "sud_threads 4",
  "sud_threads 4 gs",
  "sud_fork",
  "sud_in_handler alt",
];

const here = chooseBackend().name;

Deno.test({
  name: here === "ptrace"
    ? "the back ends series and ptrace write the same images"
    : `NOT RUN: the back end of this kernel is ${here}, so there is nothing to compare with`,
  ignore: here !== "ptrace",
  async fn() {
    for (const subject of SUBJECTS) await buildSubject(subject.split(" ")[0]!);
    const script = ["run", "-A", "--no-check", "kernel/inside/describe_dispatch.ts", ...SUBJECTS];
    const outside = await run([Deno.execPath(), ...script], { cwd: REPOSITORY });
    const { status, stdout, stderr } = await inVm("series", ["deno", ...script]);
    strictEqual(status, 0, stderr);
    const [series, ptrace] = [JSON.parse(stdout), JSON.parse(outside)];
    deepStrictEqual(Object.keys(ptrace), SUBJECTS);
    deepStrictEqual(series, ptrace);
    // What is compared says something: the subjects differ.
    notDeepStrictEqual(ptrace["sud_block"], ptrace["sud_null_selector"]);
  },
});
