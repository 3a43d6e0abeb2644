import assert from "@std/assert";
import { describeCheck, isUsable } from "./check.ts";

const FEATURE = {
  name: "PTRACE_SEIZE",
  plugin: "core",
  available: true,
  required: true,
  note: "stops threads",
};
const REPORT = {
  kernel: "6.18.0",
  sudBackend: "ptrace",
  verdicts: [
    { operation: "checkpoint", whose: "own", possible: "yes" },
    { operation: "restore", whose: "others", possible: "no", note: "CAP_X is missing" },
  ],
  features: [FEATURE, {
    ...FEATURE,
    name: "NICE",
    available: false,
    required: false,
    note: "faster",
  }],
} as const;

Deno.test("isUsable() needs what is required and nothing else", () => {
  assert.equal(isUsable(REPORT), true);
  assert.equal(isUsable({ ...REPORT, features: [{ ...FEATURE, available: false }] }), false);
});

Deno.test("describeCheck() is a table with a verdict", () => {
  assert.deepEqual(describeCheck(REPORT, false), [
    "kernel 6.18.0",
    "Syscall User Dispatch: back end ptrace",
    "",
    "     feature       plugin  what for",
    "yes  PTRACE_SEIZE  core    stops threads",
    "no   NICE          core    faster",
    "",
    "yes  checkpoint of your own programs",
    "no   restore of others' programs      CAP_X is missing",
  ]);
  const missing = { ...REPORT, features: [{ ...FEATURE, available: false }] };
  assert.match(
    describeCheck(missing, false).join("\n"),
    /^MISSING {2}PTRACE_SEIZE[^]*cannot work here/m,
  );
});
