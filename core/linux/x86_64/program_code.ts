/**
 * The machine code that runs a syscall program inside a stopped thread, and the layout of the table that
 * it reads. It needs no stack, touches no memory but the table and what the calls themselves touch,
 * and may lie at any address.
 *
 * A program is a list of 64-byte entries. Register `rbx` walks the entries, `r12` points to the tail, `r13` to
 * a word whose bit {@link TRACER_DEAD} says that the tracer is no more.
 *
 * ```text
 * entry   0  operation   low 32 bits: syscall number; bit 32: required; bit 63: not a call (END, COPY ...)
 *         8  arguments   six words in the order of the calling convention
 *        56  result      what the call returned
 *
 * tail    0  arguments of the last call, rt_tgsigqueueinfo(tgid, tid, signal, info)
 *        32  stopped     address of the entry at which the program ended; 0 until it has
 *        40  alive       a word that is 0: what `r13` points to where the program may go on without a tracer
 *        48  sequel      address of the entry at which the thread goes on behind the last call; 0: it waits
 * ```
 *
 * The program ends by queueing a signal to its own thread. To the tracer that is a signal-delivery-stop,
 * which changes nothing in the tracee: a breakpoint (int3) would be a *forced* SIGTRAP, and the kernel
 * resets the handler of a forced signal that is blocked or ignored (`force_sig_info_to_task()` in
 * `kernel/signal.c`), so it harms a target that has a SIGTRAP handler.
 *
 * Behind its last call it jumps to where it stands, for ever: should the tracer be dead by then, the thread waits
 * there until the guardian (`core/guardian/guardian.ts`) has put it back. Unless it has a sequel: then it goes on
 * with that, once its tracer is dead or lets it.
 *
 * @module
 */

/** The size of one entry in bytes. */
export const ENTRY_SIZE = 64;
/** The size of the tail in bytes. */
export const TAIL_SIZE = 56;
/** Offset of the argument words in an entry. */
export const ENTRY_ARGUMENTS = 8;
/** Offset of the result in an entry. */
export const ENTRY_RESULT = 56;
/** Offset of the address of the siginfo in the tail. */
export const TAIL_INFO = 24;
/** Offset of `stopped` in the tail. */
export const TAIL_STOPPED = 32;
/** Offset of `alive` in the tail. */
export const TAIL_ALIVE = 40;
/** Offset of the address of the sequel in the tail. */
export const TAIL_SEQUEL = 48;
/**
 * The bit of the word behind `r13` that stops a program before its next call: FUTEX_OWNER_DIED, which the kernel
 * sets when the owner of a robust futex ends (`core/guardian/alive_word.ts`).
 */
export const TRACER_DEAD = 0x40000000;

/** Set in an operation whose failure ends the program there. */
export const OPERATION_REQUIRED = 1n << 32n;
/** The end of the program. */
export const OPERATION_END = 1n << 63n;
/** Copies an integer of argument 2 bytes (4, zero-extended, or 8) from address argument 1 to the word at argument 0. */
export const OPERATION_COPY = (1n << 63n) | 1n;
/** Goes on at the entry whose address is argument 1. */
export const OPERATION_JUMP = (1n << 63n) | 2n;
/** Goes on at the entry whose address is argument 3, unless the word at argument 1 equals argument 2. */
export const OPERATION_UNLESS = (1n << 63n) | 3n;
/** Goes on at the entry whose address is argument 3 if the word at argument 1 is less than argument 2, both signed. */
export const OPERATION_BELOW = (1n << 63n) | 4n;

/** One line of assembly: an instruction's source and bytes, a label, or a jump to one, short or far. */
type Line =
  | { readonly source: string; readonly bytes: readonly number[] }
  | { readonly label: string }
  | { readonly jump: number; readonly to: string }
  | { readonly far: string };

const op = (source: string, ...bytes: number[]): Line => ({ source, bytes });
const at = (label: string): Line => ({ label });
const jump = (opcode: number, to: string): Line => ({ jump: opcode, to });
const far = (label: string): Line => ({ far: label });
const JMP = 0xeb, JS = 0x78, JZ = 0x74, JNZ = 0x75, JAE = 0x73, JGE = 0x7d;

function sizeOf(line: Line): number {
  if ("label" in line) return 0;
  if ("bytes" in line) return line.bytes.length;
  return "jump" in line ? 2 : 5;
}

function assemble(lines: readonly Line[]): Uint8Array {
  const labels = new Map<string, number>();
  let offset = 0;
  for (const line of lines) {
    if ("label" in line) labels.set(line.label, offset);
    offset += sizeOf(line);
  }
  const code: number[] = [];
  for (const line of lines) {
    const end = code.length + sizeOf(line);
    const distance = (to: string) => labels.get(to) as number - end;
    if ("bytes" in line) code.push(...line.bytes);
    else if ("jump" in line) {
      const short = distance(line.to);
      if (short < -128 || short > 127) throw new RangeError(`${line.to} is too far away`);
      code.push(line.jump, short & 0xff);
    } else if ("far" in line) {
      code.push(0xe9, ...new Uint8Array(Int32Array.of(distance(line.far)).buffer));
    }
  }
  return new Uint8Array(code);
}

/** The code. Entered at its first byte with `rbx` = first entry, `r12` = tail, `r13` = the word of the tracer. */
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
  // As late as can be: with the tracer a suspension of seccomp or of dispatch ends.
  op("test byte [r13+3], 0x40 ; is the tracer dead?", 0x41, 0xf6, 0x45, 0x03, 0x40),
  jump(JNZ, "wait"),
  op("syscall", 0x0f, 0x05),
  op("mov [rbx+56], rax", 0x48, 0x89, 0x43, 0x38),
  op("test byte [rbx+4], 1 ; required?", 0xf6, 0x43, 0x04, 0x01),
  jump(JZ, "next"),
  op("cmp rax, -4095", 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff),
  jump(JAE, "end"),
  at("next"),
  op("add rbx, 64", 0x48, 0x83, 0xc3, 0x40),
  jump(JMP, "loop"),
  at("end"),
  op("mov [r12+32], rbx", 0x49, 0x89, 0x5c, 0x24, 0x20),
  op("mov rdi, [r12]", 0x49, 0x8b, 0x3c, 0x24),
  op("mov rsi, [r12+8]", 0x49, 0x8b, 0x74, 0x24, 0x08),
  op("mov rdx, [r12+16]", 0x49, 0x8b, 0x54, 0x24, 0x10),
  op("mov r10, [r12+24]", 0x4d, 0x8b, 0x54, 0x24, 0x18),
  op("mov eax, 297 ; rt_tgsigqueueinfo", 0xb8, 0x29, 0x01, 0x00, 0x00),
  op("test byte [r13+3], 0x40", 0x41, 0xf6, 0x45, 0x03, 0x40),
  jump(JNZ, "wait"),
  op("syscall", 0x0f, 0x05),
  op("mov rbx, [r12+48] ; the sequel", 0x49, 0x8b, 0x5c, 0x24, 0x30),
  op("test rbx, rbx", 0x48, 0x85, 0xdb),
  jump(JNZ, "loop"),
  at("wait"),
  jump(JMP, "wait"),
  // A single call, by a `syscall` instruction of the target.
  op("test byte [r13+3], 0x40", 0x41, 0xf6, 0x45, 0x03, 0x40),
  jump(JNZ, "wait"),
  op("jmp r12", 0x41, 0xff, 0xe4),
  at("other"),
  op("cmp eax, 1", 0x83, 0xf8, 0x01),
  jump(JZ, "copy"),
  op("cmp eax, 2", 0x83, 0xf8, 0x02),
  jump(JZ, "jump"),
  op("mov rsi, [rbx+8]", 0x48, 0x8b, 0x73, 0x08),
  op("mov rdx, [rbx+16]", 0x48, 0x8b, 0x53, 0x10),
  op("cmp eax, 4", 0x83, 0xf8, 0x04),
  jump(JZ, "below"),
  op("cmp eax, 3", 0x83, 0xf8, 0x03),
  jump(JNZ, "end"),
  op("cmp [rsi], rdx ; unless", 0x48, 0x39, 0x16),
  jump(JZ, "skip"),
  jump(JMP, "elsewhere"),
  at("below"),
  op("cmp [rsi], rdx", 0x48, 0x39, 0x16),
  jump(JGE, "skip"),
  at("elsewhere"),
  op("mov rbx, [rbx+24]", 0x48, 0x8b, 0x5b, 0x18),
  far("loop"),
  at("jump"),
  op("mov rbx, [rbx+8]", 0x48, 0x8b, 0x5b, 0x08),
  far("loop"),
  at("copy"),
  op("mov rdi, [rbx+8]", 0x48, 0x8b, 0x7b, 0x08),
  op("mov rsi, [rbx+16]", 0x48, 0x8b, 0x73, 0x10),
  op("mov eax, [rsi] ; zero-extends", 0x8b, 0x06),
  op("cmp byte [rbx+24], 8", 0x80, 0x7b, 0x18, 0x08),
  jump(JNZ, "store"),
  op("mov rax, [rsi]", 0x48, 0x8b, 0x06),
  at("store"),
  op("mov [rdi], rax", 0x48, 0x89, 0x07),
  at("skip"),
  op("add rbx, 64", 0x48, 0x83, 0xc3, 0x40),
  far("loop"),
]);

/** Where in the code a `syscall` instruction lies, for single calls. */
export const PROGRAM_SYSCALL: number = findCode(0x0f, 0x05);
/** Where in the code a thread waits for ever. */
export const PROGRAM_WAIT: number = findCode(JMP, 0xfe);
/**
 * Where in the code a single call begins: with all registers as the call wants them it goes to the `syscall` instruction
 * that `r12` points to, or waits, if the word behind `r13` says that the tracer is dead.
 */
export const PROGRAM_CHECKED_CALL: number = PROGRAM_WAIT + 2;

function findCode(first: number, second: number): number {
  return PROGRAM_CODE.findIndex((byte, index) =>
    byte === first && PROGRAM_CODE[index + 1] === second
  );
}
