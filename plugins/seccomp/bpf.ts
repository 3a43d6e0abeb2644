/**
 * Classic BPF as seccomp uses it: instructions, and what a filter says to a call. Pure.
 *
 * A filter is an array of `struct sock_filter` (8 bytes: code u16, jt u8, jf u8, k u32), which the kernel has
 * checked (`seccomp_check_filter()` of `kernel/seccomp.c`): jumps lead forward, the last instruction returns.
 *
 * @module
 */
import { defineStruct } from "../../core/linux/struct.ts";

/** `struct sock_filter` (`include/uapi/linux/filter.h`). */
const sockFilter = defineStruct("sock_filter", 8, {
  code: [0, "u16"],
  jt: [2, "u8"],
  jf: [3, "u8"],
  k: [4, "u32"],
});

/** One instruction. */
export type Instruction = ReturnType<typeof sockFilter.read>;

/** The size of an instruction in bytes. */
export const INSTRUCTION_SIZE: number = sockFilter.size;

/** Classes, modes and operations of an instruction's code (`include/uapi/linux/bpf_common.h`). */
export const BPF = {
  LD: 0,
  LDX: 1,
  ST: 2,
  STX: 3,
  ALU: 4,
  JMP: 5,
  RET: 6,
  MISC: 7,
  /** Modes of LD and LDX. */
  IMM: 0x00,
  ABS: 0x20,
  MEM: 0x60,
  LEN: 0x80,
  /** Bit of ALU and JMP: the second operand is X, not K. */
  X: 0x08,
  /** Of RET: what is in A. */
  A: 0x10,
  /** Of MISC: X to A; otherwise A to X. */
  TXA: 0x80,
  JA: 0x00,
  JEQ: 0x10,
  JGT: 0x20,
  JGE: 0x30,
  JSET: 0x40,
} as const;

/** What a filter answers, the upper 16 bits (`include/uapi/linux/seccomp.h`). */
export const SECCOMP_RET = {
  KILL_PROCESS: 0x80000000,
  KILL_THREAD: 0x00000000,
  TRAP: 0x00030000,
  ERRNO: 0x00050000,
  USER_NOTIF: 0x7fc00000,
  TRACE: 0x7ff00000,
  LOG: 0x7ffc0000,
  ALLOW: 0x7fff0000,
} as const;

/** SECCOMP_RET_ACTION_FULL. */
const ACTION = 0xffff0000;
/** The size of `struct seccomp_data`. */
const DATA_SIZE = 64;

/** The instructions of a filter. @throws {RangeError} if the bytes are no whole number of them */
export function decodeFilter(bytes: Uint8Array): Instruction[] {
  if (bytes.length % INSTRUCTION_SIZE !== 0) {
    throw new RangeError(`${bytes.length} bytes are no whole number of instructions`);
  }
  return Array.from(
    { length: bytes.length / INSTRUCTION_SIZE },
    (_, index) => sockFilter.read(bytes, index * INSTRUCTION_SIZE),
  );
}

/** The bytes of a filter. */
export function encodeFilter(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * INSTRUCTION_SIZE);
  instructions.forEach((one, index) => sockFilter.write(bytes, one, index * INSTRUCTION_SIZE));
  return bytes;
}

/** A call as a filter sees it: `struct seccomp_data`. */
export interface FilteredCall {
  readonly nr: number;
  /** AUDIT_ARCH_*; that of x86-64 if absent. */
  readonly arch?: number;
  readonly ip?: bigint;
  readonly args?: readonly bigint[];
}

/** AUDIT_ARCH_X86_64 (`include/uapi/linux/audit.h`). */
export const AUDIT_ARCH_X86_64 = 0xc000003e;

const seccompData = defineStruct("seccomp_data", DATA_SIZE, {
  nr: [0, "i32"],
  arch: [4, "u32"],
  ip: [8, "u64"],
  a0: [16, "u64"],
  a1: [24, "u64"],
  a2: [32, "u64"],
  a3: [40, "u64"],
  a4: [48, "u64"],
  a5: [56, "u64"],
});

/** What one filter answers to a call: an action with its data in the lower 16 bits. */
export function runFilter(filter: readonly Instruction[], call: FilteredCall): number {
  const [a0, a1, a2, a3, a4, a5] = call.args ?? [];
  const bytes = seccompData.make({
    nr: call.nr,
    arch: call.arch ?? AUDIT_ARCH_X86_64,
    ip: call.ip,
    a0,
    a1,
    a2,
    a3,
    a4,
    a5,
  });
  const data = new DataView(bytes.buffer);
  const memory = new Uint32Array(16);
  let a = 0, x = 0;
  for (let at = 0; at < filter.length; at++) {
    const { code, jt, jf, k } = filter[at] as Instruction;
    const load = (): number => {
      switch (code & 0xe0) {
        case BPF.ABS:
          return data.getUint32(k, true);
        case BPF.MEM:
          return memory[k] as number;
        case BPF.LEN:
          return DATA_SIZE;
        default:
          return k;
      }
    };
    const operand = (code & BPF.X) !== 0 ? x : k;
    switch (code & 7) {
      case BPF.LD:
        a = load();
        break;
      case BPF.LDX:
        x = load();
        break;
      case BPF.ST:
        memory[k] = a;
        break;
      case BPF.STX:
        memory[k] = x;
        break;
      case BPF.ALU:
        // A division by an X of 0 ends a filter with 0.
        if (operand === 0 && [0x30, 0x90].includes(code & 0xf0)) return 0;
        a = calculate(code & 0xf0, a, operand);
        break;
      case BPF.JMP:
        at += (code & 0xf0) === BPF.JA ? k : jumps(code & 0xf0, a, operand) ? jt : jf;
        break;
      case BPF.RET:
        return (code & 0x18) === BPF.A ? a : k;
      case BPF.MISC:
        if ((code & 0xf8) === BPF.TXA) a = x;
        else x = a;
    }
  }
  throw new RangeError("the filter ends without an answer");
}

function calculate(operation: number, a: number, b: number): number {
  switch (operation) {
    case 0x00:
      return (a + b) >>> 0;
    case 0x10:
      return (a - b) >>> 0;
    case 0x20:
      return Math.imul(a, b) >>> 0;
    case 0x30:
      return Math.floor(a / b);
    case 0x40:
      return (a | b) >>> 0;
    case 0x50:
      return (a & b) >>> 0;
    case 0x60:
      return (a << b) >>> 0;
    case 0x70:
      return a >>> b;
    case 0x80:
      return -a >>> 0;
    case 0x90:
      return a % b;
    case 0xa0:
      return (a ^ b) >>> 0;
    default:
      throw new RangeError(`0x${operation.toString(16)} is no operation of BPF`);
  }
}

function jumps(operation: number, a: number, b: number): boolean {
  switch (operation) {
    case BPF.JEQ:
      return a === b;
    case BPF.JGT:
      return a > b;
    case BPF.JGE:
      return a >= b;
    default:
      return (a & b) !== 0;
  }
}

/**
 * What a whole chain answers to a call: the strictest of all answers, of equal ones the newest filter's.
 *
 * @param chain the filters, the oldest first
 */
export function runChain(
  chain: readonly (readonly Instruction[])[],
  call: FilteredCall,
): number {
  let answer: number = SECCOMP_RET.ALLOW;
  // The kernel begins with the newest (seccomp_run_filters()), and compares actions as signed numbers.
  for (const filter of chain.toReversed()) {
    const next = runFilter(filter, call);
    if ((next & ACTION) < (answer & ACTION)) answer = next;
  }
  return answer;
}

/** The action of an answer, one of {@link SECCOMP_RET}. */
export function actionOf(answer: number): number {
  return (answer & ACTION) >>> 0;
}

/** Whether a filter can hand calls to a supervisor, as far as its constants tell. */
export function notifies(filter: readonly Instruction[]): boolean {
  return filter.some(({ code, k }) =>
    (code & 7) === BPF.RET && (code & 0x18) !== BPF.A && actionOf(k) === SECCOMP_RET.USER_NOTIF
  );
}
