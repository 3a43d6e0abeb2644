/**
 * Loading small programs into the kernel: bpf(2). Source: `include/uapi/linux/bpf.h`,
 * Documentation/bpf/standardization/instruction-set.rst.
 *
 * @module
 */
import { isErrno } from "./errno.ts";
import { addressOf, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** The command that loads a program, and how much of `union bpf_attr` it takes. */
const PROG_LOAD = 5, LOAD_SIZE = 120;

/** An instruction: its code, target and source register, offset and immediate value. */
export type Instruction = readonly [
  code: number,
  target: number,
  source: number,
  offset: number,
  value: number,
];

function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, target, source, offset, value], index) => {
    view.setUint8(index * 8, code);
    view.setUint8(index * 8 + 1, target | source << 4);
    view.setInt16(index * 8 + 2, offset, true);
    view.setInt32(index * 8 + 4, value, true);
  });
  return bytes;
}

/** What kind of program it is (`BPF_PROG_TYPE_*`), and what of it the kernel is told. */
export interface ProgramKind {
  readonly type: number;
  /** `BPF_F_*`. */
  readonly flags?: number;
  /** Of a program that is run where the kernel provides for it: where (`BPF_*`), and the number of that function. */
  readonly attachType?: number;
  readonly attachTo?: number;
}

/** Loads a program. @returns undefined where this kernel or this user cannot have it */
export function loadProgram(
  { type, flags = 0, attachType = 0, attachTo = 0 }: ProgramKind,
  instructions: readonly Instruction[],
): OwnedDescriptor | undefined {
  const program = encode(instructions);
  const license = new TextEncoder().encode("GPL\0");
  const attributes = new Uint8Array(LOAD_SIZE);
  const view = new DataView(attributes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, instructions.length, true);
  view.setBigUint64(8, addressOf(program), true);
  view.setBigUint64(16, addressOf(license), true);
  view.setUint32(44, flags, true);
  view.setUint32(68, attachType, true);
  view.setUint32(108, attachTo, true);
  const fd = syscall(SYSCALLS.bpf, PROG_LOAD, attributes, LOAD_SIZE);
  return isErrno(fd) ? undefined : new OwnedDescriptor(Number(fd));
}
