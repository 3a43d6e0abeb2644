import assert from "@std/assert";
import { decodeStatus } from "./ptrace.ts";

Deno.test("decodeStatus() tells how a tracee stopped or ended", () => {
  assert.deepEqual(decodeStatus(0x0300), { kind: "exited", code: 3 });
  assert.deepEqual(decodeStatus(9), { kind: "killed", signal: 9 });
  // Killed with a core file: bit 7.
  assert.deepEqual(decodeStatus(0x8b), { kind: "killed", signal: 11 });
  assert.deepEqual(decodeStatus(0x0b7f), { kind: "signal", signal: 11 });
  // A syscall stop under PTRACE_O_TRACESYSGOOD, against a real SIGTRAP.
  assert.deepEqual(decodeStatus(0x857f), { kind: "syscall" });
  assert.deepEqual(decodeStatus(0x057f), { kind: "signal", signal: 5 });
  // PTRACE_EVENT_STOP of an interrupt, and of a group-stop by SIGTSTP.
  assert.deepEqual(decodeStatus(0x80057f), { kind: "event-stop", signal: 5 });
  assert.deepEqual(decodeStatus(0x80147f), { kind: "event-stop", signal: 20 });
  assert.deepEqual(decodeStatus(0x03057f), { kind: "event", event: 3 });
});
