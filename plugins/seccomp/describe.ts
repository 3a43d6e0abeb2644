/**
 * Filters for people: a disassembler and the names of answers and flags. Pure.
 *
 * @module
 */
import { errnoName } from "../../core/linux/errno.ts";
import { syscallName } from "../../core/linux/x86_64/syscalls.ts";
import { actionOf, AUDIT_ARCH_X86_64, BPF, type Instruction, SECCOMP_RET } from "./bpf.ts";
import { FILTER_FLAG } from "./chain.ts";
import { type Known, knownBefore } from "./flow.ts";

const hex = (value: number): string => `0x${value.toString(16)}`;

/** The words of `struct seccomp_data`, by their offset. */
function fieldName(offset: number): string {
  if (offset === 0) return "nr";
  if (offset === 4) return "arch";
  if (offset === 8 || offset === 12) return `ip.${offset === 8 ? "low" : "high"}`;
  return `args[${(offset - 16) >> 3}].${offset % 8 === 0 ? "low" : "high"}`;
}

/** An answer of a filter: `ALLOW`, `ERRNO(EPERM)`, `TRAP(7)`. */
export function describeAnswer(answer: number): string {
  const action = actionOf(answer);
  const data = answer & 0xffff;
  // What the kernel does not know kills (seccomp_log() and __seccomp_filter() of kernel/seccomp.c).
  const name = Object.entries(SECCOMP_RET).find(([, value]) => value === action)?.[0] ??
    `${hex(action)}, kills`;
  if (action === SECCOMP_RET.ERRNO) return `ERRNO(${errnoName(data)})`;
  return data === 0 ? name : `${name}(${data})`;
}

/** The flags of a filter: `LOG, TSYNC`; empty if it has none. */
export function describeFlags(flags: number): string {
  const known = Object.entries(FILTER_FLAG).filter(([, bit]) => (flags & bit) !== 0);
  const rest = known.reduce((left, [, bit]) => left & ~bit, flags);
  return [...known.map(([name]) => name), ...(rest === 0 ? [] : [hex(rest)])].join(", ");
}

const COMPARISONS = new Map<number, readonly [holds: string, fails: string]>([
  [BPF.JEQ, ["==", "!="]],
  [BPF.JGT, [">", "<="]],
  [BPF.JGE, [">=", "<"]],
]);

const OPERATORS = ["+", "-", "*", "/", "|", "&", "<<", ">>", "neg", "%", "^"];

/** Architectures that filters of x86-64 programs ask for (`include/uapi/linux/audit.h`). */
const ARCHITECTURES = new Map([[AUDIT_ARCH_X86_64, "x86-64"], [0x40000003, "i386"]]);

/**
 * A filter in a readable notation, one line an instruction: `0003 if (A != 39) goto 0007 ; getpid`.
 *
 * Numbers of system calls are explained where A is the number of a call, but for those of other architectures.
 */
export function disassemble(filter: readonly Instruction[]): string[] {
  const known = knownBefore(filter);
  return filter.map((one, at) => `${line(at)} ${source(one, at, known[at] as Known)}`);
}

const line = (at: number): string => String(at).padStart(4, "0");

function source({ code, jt, jf, k }: Instruction, at: number, known: Known): string {
  const operand = (code & BPF.X) !== 0 ? "X" : String(k);
  switch (code & 7) {
    case BPF.LD:
      return `A = ${loadSource(code, k)}`;
    case BPF.LDX:
      return `X = ${loadSource(code, k)}`;
    case BPF.ST:
      return `M[${k}] = A`;
    case BPF.STX:
      return `M[${k}] = X`;
    case BPF.ALU: {
      const operator = OPERATORS[(code & 0xf0) >> 4] ?? hex(code);
      return operator === "neg" ? "A = -A" : `A ${operator}= ${operand}`;
    }
    case BPF.JMP:
      return jumpSource(code, [at + 1 + jt, at + 1 + jf, at + 1], k, known);
    case BPF.RET:
      return (code & 0x18) === BPF.A ? "return A" : `return ${describeAnswer(k)}`;
    default:
      return (code & 0xf8) === BPF.TXA ? "A = X" : "X = A";
  }
}

function loadSource(code: number, k: number): string {
  switch (code & 0xe0) {
    case BPF.ABS:
      return fieldName(k);
    case BPF.MEM:
      return `M[${k}]`;
    case BPF.LEN:
      return "64";
    default:
      return hex(k);
  }
}

function jumpSource(
  code: number,
  [yes, no, next]: readonly [number, number, number],
  k: number,
  known: Known,
): string {
  const operation = code & 0xf0;
  if (operation === BPF.JA) return `goto ${line(next + k)}`;
  const withX = (code & BPF.X) !== 0;
  const value = withX ? "X" : known.loaded === 0 ? String(k) : hex(k);
  const comparison = COMPARISONS.get(operation);
  const holds = comparison === undefined ? `A & ${value}` : `A ${comparison[0]} ${value}`;
  const fails = comparison === undefined ? `!(A & ${value})` : `A ${comparison[1]} ${value}`;
  const meaning = withX ? "" : explain(known, k);
  if (yes === next) return `if (${fails}) goto ${line(no)}${meaning}`;
  if (no === next) return `if (${holds}) goto ${line(yes)}${meaning}`;
  return `if (${holds}) goto ${line(yes)}, else ${line(no)}${meaning}`;
}

function explain({ loaded, foreign }: Known, k: number): string {
  const architecture = ARCHITECTURES.get(k);
  if (loaded === 4 && architecture !== undefined) return ` ; ${architecture}`;
  // Past the table there are no names: X32_SYSCALL_BIT and such.
  if (loaded !== 0 || foreign || k > 0xffff) return "";
  return ` ; ${syscallName(k)}`;
}
