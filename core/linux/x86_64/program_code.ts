/**
 * The machine code that runs a syscall program inside a stopped thread, and the layout of the table that
 * it reads. It needs no stack, touches no memory but the table and what the calls themselves touch,
 * and may lie at any address.
 *
 * A program is a list of 64-byte entries. Register `rbx` walks the entries, `r12` points to the tail.
 *
 * ```text
 * entry   0  operation   low 32 bits: syscall number; bit 32: required; bit 63: not a call (END, COPY)
 *         8  arguments   six words in the order of the calling convention
 *        56  result      what the call returned
 *
 * tail    0  arguments of the last call, rt_tgsigqueueinfo(tgid, tid, signal, info)
 *        32  stopped     address of the entry at which the program ended; 0 until it has
 * ```
 *
 * The program ends by queueing a signal to its own thread. To the tracer that is a signal-delivery-stop,
 * which changes nothing in the tracee: a breakpoint (int3) would be a *forced* SIGTRAP, and the kernel
 * resets the handler of a forced signal that is blocked or ignored (`force_sig_info_to_task()` in
 * `kernel/signal.c`), so it harms a target that has a SIGTRAP handler.
 *
 * @module
 */

/** The size of one entry in bytes. */
export const ENTRY_SIZE = 64;
/** The size of the tail in bytes. */
export const TAIL_SIZE = 40;
/** Offset of the argument words in an entry. */
export const ENTRY_ARGUMENTS = 8;
/** Offset of the result in an entry. */
export const ENTRY_RESULT = 56;
/** Offset of `stopped` in the tail. */
export const TAIL_STOPPED = 32;

/** Set in an operation whose failure ends the program there. */
export const OPERATION_REQUIRED = 1n << 32n;
/** The end of the program. */
export const OPERATION_END = 1n << 63n;
/** Copies an integer of argument 2 bytes (4, zero-extended, or 8) from address argument 1 to the word at argument 0. */
export const OPERATION_COPY = (1n << 63n) | 1n;

/** One line of assembly: an instruction's source and bytes, a label, or a short jump to one. */
type Line =
  | { readonly source: string; readonly bytes: readonly number[] }
  | { readonly label: string }
  | { readonly jump: number; readonly to: string };

const op = (source: string, ...bytes: number[]): Line => ({ source, bytes });
const at = (label: string): Line => ({ label });
const jump = (opcode: number, to: string): Line => ({ jump: opcode, to });
const JMP = 0xeb, JS = 0x78, JZ = 0x74, JNE = 0x75, JAE = 0x73;

function assemble(lines: readonly Line[]): Uint8Array {
  const labels = new Map<string, number>();
  let offset = 0;
  for (const line of lines) {
    if ("label" in line) labels.set(line.label, offset);
    else offset += "bytes" in line ? line.bytes.length : 2;
  }
  const code: number[] = [];
  for (const line of lines) {
    if ("bytes" in line) code.push(...line.bytes);
    else if ("jump" in line) {
      const distance = (labels.get(line.to) as number) - (code.length + 2);
      code.push(line.jump, distance & 0xff);
    }
  }
  return new Uint8Array(code);
}

/** The code. Entered at its first byte with `rbx` = first entry, `r12` = tail. */
export const PROGRAM_CODE: Uint8Array = assemble([
  at("loop"),
  op("mov rax, [rbx]", 0x48, 0x8b, 0x03),
  op("test rax, rax", 0x48, 0x85, 0xc0),
  jump(JS, "other"),
  op("mov rdi, [rbx+8]", 0x48, 0x8b, 0x7b, 0x08),
  op("mov rsi, [rbx+16]", 0x48, 0x8b, 0x73, 0x10),
  op("mov rdx, [rbx+24]", 0x48, 0x8b, 0x53, 0x18),
  op("mov r10, [rbx+32]", 0x4c, 0x8b, 0x53, 0x20),
  op("mov r8, [rbx+40]", 0x4c, 0x8b, 0x43, 0x28),
  op("mov r9, [rbx+48]", 0x4c, 0x8b, 0x4b, 0x30),
  op("mov eax, eax ; drops the flags", 0x89, 0xc0),
  op("syscall", 0x0f, 0x05),
  op("mov [rbx+56], rax", 0x48, 0x89, 0x43, 0x38),
  op("test byte [rbx+4], 1 ; required?", 0xf6, 0x43, 0x04, 0x01),
  jump(JZ, "next"),
  op("cmp rax, -4095", 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff),
  jump(JAE, "end"),
  at("next"),
  op("add rbx, 64", 0x48, 0x83, 0xc3, 0x40),
  jump(JMP, "loop"),
  at("other"),
  op("cmp eax, 1", 0x83, 0xf8, 0x01),
  jump(JNE, "end"),
  op("mov rdi, [rbx+8]", 0x48, 0x8b, 0x7b, 0x08),
  op("mov rsi, [rbx+16]", 0x48, 0x8b, 0x73, 0x10),
  op("mov eax, [rsi] ; zero-extends", 0x8b, 0x06),
  op("cmp byte [rbx+24], 8", 0x80, 0x7b, 0x18, 0x08),
  jump(JNE, "store"),
  op("mov rax, [rsi]", 0x48, 0x8b, 0x06),
  at("store"),
  op("mov [rdi], rax", 0x48, 0x89, 0x07),
  jump(JMP, "next"),
  at("end"),
  op("mov [r12+32], rbx", 0x49, 0x89, 0x5c, 0x24, 0x20),
  op("mov rdi, [r12]", 0x49, 0x8b, 0x3c, 0x24),
  op("mov rsi, [r12+8]", 0x49, 0x8b, 0x74, 0x24, 0x08),
  op("mov rdx, [r12+16]", 0x49, 0x8b, 0x54, 0x24, 0x10),
  op("mov r10, [r12+24]", 0x4d, 0x8b, 0x54, 0x24, 0x18),
  op("mov eax, 297 ; rt_tgsigqueueinfo", 0xb8, 0x29, 0x01, 0x00, 0x00),
  op("syscall", 0x0f, 0x05),
  op("ud2 ; only if the signal was not queued", 0x0f, 0x0b),
]);

/** Where in the code a `syscall` instruction lies, for single calls. */
export const PROGRAM_SYSCALL: number = 0x22;
