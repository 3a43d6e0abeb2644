// SPDX-License-Identifier: MIT
/**
 * Programs with dispatch are checkpointed in the kernel with the series, the VM is booted anew, and they are
 * restored there. What came of it is for the programs to say.
 *
 * @module
 */

import { deepStrictEqual, strictEqual } from "@std/assert";
import { join } from "node:path";
import { buildProgram, buildSubject } from "../../tests/harness/build.ts";
import { REPOSITORY } from "../paths.ts";
import { inVm } from "./kernels.ts";

const SUBJECTS = [
  "sud_block",
  "sud_allow",
  "sud_threads 4",
  "sud_in_handler alt",
  "sud_fork",
  "clocks",
];

Deno.test("programs with dispatch live on after a reboot", async () => {
  for (const subject of SUBJECTS) await buildSubject(subject.split(" ")[0]!);
  const emulator = await buildProgram(join(REPOSITORY, "examples/emulator/emulator.c"));
  const titles = [...SUBJECTS, `${emulator} 4`];
  const share = await Deno.makeTempDir({ prefix: "stasis-reboot-" });
  try {
    const inside = (...args: string[]) =>
      inVm(
        "series",
        ["deno", "run", "-A", "--no-check", "kernel/inside/reboot.ts", ...args],
        { share, timeout: 300 },
      );
    const first = await inside("save", ...titles);
    strictEqual(first.status, 0, first.stderr);
    const second = await inside("restore");
    deepStrictEqual(
      second.stdout.trim().split("\n"),
      titles.map((title) => `${title}: verdict PASS, exit status 0`),
      second.stderr,
    );
    strictEqual(second.status, 0);
  } finally {
    await Deno.remove(share, { recursive: true });
  }
});
