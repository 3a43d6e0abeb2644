import assert from "@std/assert";
import {
  decodeFilter,
  encodeFilter,
  type Instruction,
  notifies,
  runChain,
  runFilter,
  SECCOMP_RET,
} from "./bpf.ts";

const statement = (code: number, k: number): Instruction => ({ code, jt: 0, jf: 0, k });
const ret = (k: number) => statement(0x06, k);
/** Answers `answer` to call `nr`, and allows the rest. */
const on = (nr: number, answer: number): Instruction[] => [
  statement(0x20, 0),
  { code: 0x15, jt: 0, jf: 1, k: nr },
  ret(answer),
  ret(SECCOMP_RET.ALLOW),
];

Deno.test("decodeFilter() and encodeFilter() are inverse, and refuse half instructions", () => {
  const filter = on(39, SECCOMP_RET.KILL_PROCESS);
  assert.deepEqual(decodeFilter(encodeFilter(filter)), filter);
  assert.equal(encodeFilter(filter).length, 32);
  assert.throws(() => decodeFilter(new Uint8Array(12)), RangeError);
});

Deno.test("runFilter() answers by number, architecture and both halves of an argument", () => {
  assert.equal(runFilter(on(39, 0x50001), { nr: 39 }), 0x50001);
  assert.equal(runFilter(on(39, 0x50001), { nr: 40 }), SECCOMP_RET.ALLOW);
  const word = (offset: number) => [statement(0x20, offset), statement(0x16, 0)];
  assert.equal(runFilter(word(4), { nr: 0 }), 0xc000003e);
  const call = { nr: 0, args: [0n, 0x1122334455667788n] };
  assert.equal(runFilter(word(24), call), 0x55667788);
  assert.equal(runFilter(word(28), call), 0x11223344);
});

Deno.test("runFilter() calculates in 32 bits without sign", () => {
  const calculate = (a: number, code: number, k: number) =>
    runFilter([statement(0x00, a), statement(code, k), statement(0x16, 0)], { nr: 0 });
  assert.equal(calculate(0xffffffff, 0x04, 2), 1);
  assert.equal(calculate(1, 0x14, 2), 0xffffffff);
  assert.equal(calculate(0xffffffff, 0x24, 0xffffffff), 1);
  assert.equal(calculate(0xffffffff, 0x34, 2), 0x7fffffff);
  assert.equal(calculate(0x80000000, 0x74, 31), 1);
  assert.equal(calculate(1, 0x64, 31), 0x80000000);
  assert.equal(calculate(1, 0x84, 0), 0xffffffff);
});

Deno.test("runFilter() keeps words in memory and X, and returns 0 for a division by 0", () => {
  const filter = [
    statement(0x00, 7), // A = 7
    statement(0x02, 3), // M[3] = A
    statement(0x61, 3), // X = M[3]
    statement(0x00, 5), // A = 5
    statement(0x0c, 0), // A += X
    statement(0x16, 0), // return A
  ];
  assert.equal(runFilter(filter, { nr: 0 }), 12);
  assert.equal(runFilter([statement(0x00, 1), statement(0x3c, 0), ret(9)], { nr: 0 }), 0);
});

Deno.test("runChain() gives the strictest answer, of equal actions the newest filter's", () => {
  const [oldest, newest] = [on(39, 0x50001), on(39, 0x50002)];
  assert.equal(runChain([oldest, newest], { nr: 39 }), 0x50002);
  const trap = on(39, SECCOMP_RET.TRAP);
  assert.equal(runChain([trap, newest], { nr: 39 }), SECCOMP_RET.TRAP);
  const kill = on(39, SECCOMP_RET.KILL_PROCESS);
  assert.equal(runChain([kill, [ret(SECCOMP_RET.KILL_THREAD)]], { nr: 39 }), 0x80000000);
  assert.equal(runChain([], { nr: 39 }), SECCOMP_RET.ALLOW);
});

Deno.test("notifies() finds filters that ask a supervisor", () => {
  assert.equal(notifies(on(39, SECCOMP_RET.USER_NOTIF)), true);
  assert.equal(notifies(on(39, SECCOMP_RET.LOG)), false);
  // A number that is compared, not returned.
  assert.equal(notifies([{ code: 0x15, jt: 0, jf: 0, k: 0x7fc00000 }, ret(0)]), false);
});
