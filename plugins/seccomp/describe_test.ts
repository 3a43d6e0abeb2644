import assert from "@std/assert";
import { SECCOMP_RET } from "./bpf.ts";
import { describeAnswer, describeFlags, disassemble } from "./describe.ts";

Deno.test("disassemble() shows loads, jumps by their targets, and answers", () => {
  const lines = disassemble([
    { code: 0x20, jt: 0, jf: 0, k: 4 },
    { code: 0x15, jt: 1, jf: 0, k: 0xc000003e },
    { code: 0x06, jt: 0, jf: 0, k: SECCOMP_RET.KILL_PROCESS },
    { code: 0x20, jt: 0, jf: 0, k: 0 },
    { code: 0x35, jt: 0, jf: 1, k: 0x40000000 },
    { code: 0x06, jt: 0, jf: 0, k: 0x50026 },
    { code: 0x15, jt: 0, jf: 3, k: 39 },
    { code: 0x20, jt: 0, jf: 0, k: 28 },
    { code: 0x54, jt: 0, jf: 0, k: 255 },
    { code: 0x45, jt: 1, jf: 2, k: 1 },
    { code: 0x05, jt: 0, jf: 0, k: 1 },
    { code: 0x06, jt: 0, jf: 0, k: 0x30007 },
    { code: 0x06, jt: 0, jf: 0, k: SECCOMP_RET.ALLOW },
  ]);
  assert.deepEqual(lines, [
    "0000 A = arch",
    "0001 if (A == 0xc000003e) goto 0003 ; x86-64",
    "0002 return KILL_PROCESS",
    "0003 A = nr",
    "0004 if (A < 1073741824) goto 0006",
    "0005 return ERRNO(ENOSYS)",
    "0006 if (A != 39) goto 0010 ; getpid",
    "0007 A = args[1].high",
    "0008 A &= 255",
    "0009 if (A & 0x1) goto 0011, else 0012",
    "0010 goto 0012",
    "0011 return TRAP(7)",
    "0012 return ALLOW",
  ]);
});

Deno.test("disassemble() gives calls of another architecture no name of x86-64", () => {
  const lines = disassemble([
    { code: 0x20, jt: 0, jf: 0, k: 4 },
    { code: 0x15, jt: 1, jf: 0, k: 0x40000003 },
    { code: 0x06, jt: 0, jf: 0, k: SECCOMP_RET.ALLOW },
    { code: 0x20, jt: 0, jf: 0, k: 0 },
    { code: 0x15, jt: 0, jf: 1, k: 21 },
    { code: 0x06, jt: 0, jf: 0, k: 0x50001 },
    { code: 0x06, jt: 0, jf: 0, k: SECCOMP_RET.ALLOW },
  ]);
  assert.equal(lines[1], "0001 if (A == 0x40000003) goto 0003 ; i386");
  assert.equal(lines[4], "0004 if (A != 21) goto 0006");
});

Deno.test("describeAnswer() names every action", () => {
  for (const [name, value] of Object.entries(SECCOMP_RET)) {
    if (name !== "ERRNO") assert.equal(describeAnswer(value), name);
  }
  assert.equal(describeAnswer(0x00990000), "0x990000, kills");
});

Deno.test("describeFlags() names bits, and shows unknown ones", () => {
  assert.equal(describeFlags(0), "");
  assert.equal(describeFlags(3), "TSYNC, LOG");
  assert.equal(describeFlags(0x102), "LOG, 0x100");
});
