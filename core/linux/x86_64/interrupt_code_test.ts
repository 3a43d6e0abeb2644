import assert from "@std/assert";
import { addressOf } from "../libc_ffi.ts";
import { PTRACE } from "../ptrace.ts";
import { CONTEXT, GIVE_UP_CODE, LOOK_FOR_ALL, RESTORER_AT } from "./interrupt_code.ts";
import { mapOwnCode } from "./own_code.ts";
import { SYSCALL_INSTRUCTION } from "./registers.ts";
import { SYSCALLS } from "./syscalls.ts";

const SIGNATURE = { parameters: ["i32", "pointer", "buffer"], result: "void" } as const;
const WALL = 0x40000000;
const WNOHANG = 1;

const page = mapOwnCode("test", GIVE_UP_CODE);

/** What the handler makes of a thread that it finds at `code` with these registers. */
function handle(
  code: ArrayLike<number>,
  { rax = 0, rdi = 0, rdx = 0, r10 = 0 },
  place?: bigint,
): bigint[] {
  const start = Deno.UnsafePointer.create(page) as Deno.PointerObject<typeof SIGNATURE>;
  const handler = new Deno.UnsafeFnPointer(start, SIGNATURE);
  const instruction = new Uint8Array(code);
  const context = new Uint8Array(968);
  const view = new DataView(context.buffer);
  const at = place ?? addressOf(instruction);
  view.setBigUint64(CONTEXT.rip, at, true);
  view.setBigUint64(CONTEXT.rax, BigInt(rax), true);
  view.setBigUint64(CONTEXT.rdi, BigInt(rdi), true);
  view.setBigUint64(CONTEXT.rdx, BigInt(rdx), true);
  view.setBigUint64(CONTEXT.r10, BigInt(r10), true);
  // The address is taken so that the buffer has left V8's heap before the code writes to it.
  addressOf(context);
  handler.call(58, null, context);
  return [
    view.getBigUint64(CONTEXT.rip, true) - at,
    BigInt.asIntN(64, view.getBigUint64(CONTEXT.rax, true)),
  ];
}

const EINTR = -4n;
const SEIZE = Number(PTRACE.SEIZE);

Deno.test("GIVE_UP_CODE makes PTRACE_SEIZE and waiting for a tracee return EINTR", () => {
  const seize = { rax: SYSCALLS.ptrace, rdi: SEIZE };
  assert.deepEqual(handle(SYSCALL_INSTRUCTION, seize), [2n, EINTR]);
  const wait = { rax: SYSCALLS.wait4, rdx: WALL };
  assert.deepEqual(handle(SYSCALL_INSTRUCTION, wait), [2n, EINTR]);
  const look = { rax: SYSCALLS.waitid, r10: LOOK_FOR_ALL };
  assert.deepEqual(handle(SYSCALL_INSTRUCTION, look), [2n, EINTR]);
});

Deno.test("GIVE_UP_CODE leaves everything else as it was", () => {
  const cases: readonly [
    ArrayLike<number>,
    { rax: number; rdi?: number; rdx?: number; r10?: number },
  ][] = [
    [SYSCALL_INSTRUCTION, { rax: SYSCALLS.ptrace, rdi: Number(PTRACE.CONT) }],
    [SYSCALL_INSTRUCTION, { rax: SYSCALLS.wait4, rdx: WALL | WNOHANG }],
    [SYSCALL_INSTRUCTION, { rax: SYSCALLS.wait4 }],
    [SYSCALL_INSTRUCTION, { rax: SYSCALLS.waitid, r10: LOOK_FOR_ALL | WNOHANG }],
    [SYSCALL_INSTRUCTION, { rax: SYSCALLS.ptrace, r10: LOOK_FOR_ALL }],
    [SYSCALL_INSTRUCTION, { rax: SYSCALLS.futex, rdi: SEIZE, rdx: WALL }],
    // int 0x80, as behind a call that has returned already.
    [[0xcd, 0x80], { rax: SYSCALLS.ptrace, rdi: SEIZE }],
    [[0x0f, 0x0b], { rax: SYSCALLS.wait4, rdx: WALL }],
  ];
  for (const [code, registers] of cases) {
    assert.deepEqual(handle(code, registers), [0n, BigInt(registers.rax)]);
  }
});

Deno.test("GIVE_UP_CODE does not look at the code of what is none of these calls", () => {
  // Nothing can be read there: a look would end this process.
  assert.deepEqual(handle([], { rax: SYSCALLS.futex, rdi: SEIZE, rdx: WALL }, 0x10n), [
    0n,
    BigInt(SYSCALLS.futex),
  ]);
});

Deno.test("GIVE_UP_CODE returns by rt_sigreturn(2)", () => {
  const restorer = [0xb8, SYSCALLS.rt_sigreturn, 0, 0, 0, ...SYSCALL_INSTRUCTION];
  assert.deepEqual([...GIVE_UP_CODE.subarray(RESTORER_AT)], restorer);
});
