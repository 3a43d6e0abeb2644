import assert from "@std/assert";
import { chooseFaults } from "./fault_injection.ts";

const TRACE = [
  'openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3',
  "ptrace(PTRACE_SEIZE, 7, NULL, 0x11) = 0",
  'openat(AT_FDCWD, "/proc/7/status", O_RDONLY) = 3</proc/7/status>',
  "write(2</dev/null>, ..., 10) = 10",
  "futex(0x7, FUTEX_WAKE, 1) = 0",
  "ptrace(PTRACE_INTERRUPT, 7) = 0",
  "ptrace(PTRACE_SEIZE, 8, NULL, 0x11) = 0",
  "+++ exited with 0 +++",
];

Deno.test("chooseFaults() takes calls from the first ptrace request on, each request as a kind", () => {
  const faults = chooseFaults(TRACE, 1).map(({ call, when, errno }) => `${call} ${when} ${errno}`);
  assert.deepEqual(faults.filter((fault) => fault.startsWith("ptrace")), [
    "ptrace 3 EPERM",
    "ptrace 3 EIO",
    "ptrace 2 EPERM",
    "ptrace 2 EIO",
  ]);
  assert.ok(faults.includes("openat 2 EMFILE"));
  assert.ok(!faults.some((fault) => fault.startsWith("openat 1 ")));
  assert.ok(!faults.some((fault) => /write|futex/.test(fault)));
});

Deno.test("chooseFaults() spreads its samples over all calls of a kind", () => {
  const trace = ["ptrace(PTRACE_SEIZE, 7) = 0", ...Array(9).fill("kill(7, 0) = 0")];
  const whens = chooseFaults(trace, 3).filter(({ call }) => call === "kill").map(({ when }) =>
    when
  );
  assert.deepEqual(whens, [1, 5, 9]);
});
