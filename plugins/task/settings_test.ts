import { create } from "@bufbuild/protobuf";
import { deepEqual } from "@std/assert";
import { task_extra_entrySchema } from "../../images/gen/task_pb.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { planProcessSettings, planThreadSettings } from "./settings.ts";

const INHERITED = { mceKill: 2, reqkeyKeyring: 0 };

function callsOf(plan: (program: SyscallProgram) => void): string[] {
  const program = new SyscallProgram("settings");
  plan(program);
  return program.calls.map(({ name, args }) => `${name} ${args.join(" ")}`);
}

Deno.test("planThreadSettings() makes no call for what every thread has", () => {
  deepEqual(callsOf((program) => planThreadSettings(program, undefined, INHERITED)), []);
});

Deno.test("planThreadSettings() takes back what this process has and the thread had not", () => {
  const own = { mceKill: 1, reqkeyKeyring: 4 };
  const calls = callsOf((program) => planThreadSettings(program, undefined, own));
  deepEqual(calls, ["prctl 33 1 2 0 0", "keyctl 14 0"]);
});

Deno.test("planThreadSettings() lets instructions fault last of all", () => {
  const extra = create(task_extra_entrySchema, {
    pid: 1,
    tid: 1,
    tscFaults: true,
    cpuidFaults: true,
    mceKill: 0,
    ioFlusher: true,
  });
  deepEqual(callsOf((program) => planThreadSettings(program, extra, INHERITED)), [
    "prctl 33 1 0 0 0",
    "prctl 57 1 0 0 0",
    "prctl 26 2 0 0 0",
    "arch_prctl 4114 0",
  ]);
});

Deno.test("planProcessSettings() asks for each extended state by its number", () => {
  const extra = create(task_extra_entrySchema, {
    pid: 1,
    tid: 1,
    futexHashSlots: 0,
    xstatePermissions: 1n << 18n,
  });
  deepEqual(callsOf((program) => planProcessSettings(program, extra)), [
    "prctl 78 1 0 0 0",
    "arch_prctl 4131 18",
  ]);
});
