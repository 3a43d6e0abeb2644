import assert from "@std/assert";
import { Errno } from "../../core/linux/errno.ts";
import { Registers } from "../../core/linux/x86_64/registers.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { type Instruction, SECCOMP_RET } from "./bpf.ts";
import { withoutRestart } from "./restart.ts";

const filter = (answer: number): Instruction[][] => [[
  { code: 0x20, jt: 0, jf: 0, k: 0 },
  { code: 0x15, jt: 0, jf: 1, k: SYSCALLS.restart_syscall },
  { code: 0x06, jt: 0, jf: 0, k: answer },
  { code: 0x06, jt: 0, jf: 0, k: SECCOMP_RET.ALLOW },
]];
const FORBIDS = filter(SECCOMP_RET.KILL_PROCESS);

const interrupted = (nr: number, code: number = Errno.ERESTART_RESTARTBLOCK) =>
  new Registers().set("orig_ax", BigInt(nr)).set("ax", BigInt(-code))
    .set("di", 1n).set("si", 2n).set("dx", 3n).set("r10", 4n);

Deno.test("withoutRestart() has a call made again where filters forbid restart_syscall", () => {
  const again = withoutRestart(interrupted(SYSCALLS.poll), FORBIDS);
  assert.equal(BigInt.asIntN(64, again?.get("ax") ?? 0n), BigInt(-Errno.ERESTARTNOHAND));
  assert.equal(again?.get("orig_ax"), BigInt(SYSCALLS.poll));
  assert.equal(again?.get("di"), 1n);
});

Deno.test("withoutRestart() has sleeps go on with what is left of them", () => {
  assert.equal(withoutRestart(interrupted(SYSCALLS.nanosleep), FORBIDS)?.get("di"), 2n);
  assert.equal(withoutRestart(interrupted(SYSCALLS.clock_nanosleep), FORBIDS)?.get("dx"), 4n);
});

Deno.test("withoutRestart() leaves alone what is allowed, and what the kernel restarts otherwise", () => {
  for (const answer of [SECCOMP_RET.ALLOW, SECCOMP_RET.LOG]) {
    assert.equal(withoutRestart(interrupted(SYSCALLS.poll), filter(answer)), undefined);
  }
  assert.equal(withoutRestart(interrupted(SYSCALLS.read, Errno.ERESTARTSYS), FORBIDS), undefined);
  assert.equal(withoutRestart(interrupted(SYSCALLS.restart_syscall), FORBIDS), undefined);
  assert.equal(withoutRestart(new Registers().set("orig_ax", -1n), FORBIDS), undefined);
});
