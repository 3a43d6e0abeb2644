/**
 * Finding code in a target to which its threads can be sent, so that nothing of it has to be overwritten. Pure.
 *
 * - A *waiting place* is a jump to itself: a thread there makes no system call and touches no memory. The two bytes
 *   may stand anywhere, in the middle of other instructions too. Conditional ones are taken under
 *   {@link WAITING_FLAGS}; that makes them so common that the vDSO of most kernels has one.
 * - A *call site* is a `syscall` instruction behind which nothing but a return follows (pops, `leave`, registers
 *   being cleared, `ret`), so that a thread whose stack holds the address of a waiting place in every word ends up
 *   there by itself, whoever traces it or not.
 *
 * @module
 */

/** The flags of a thread at a waiting place: IF, ZF, PF and the bit that is always set. No trap flag. */
export const WAITING_FLAGS = 0x246n;

/** Opcodes of short jumps that are taken under these flags: jno, jae, je, jbe, jns, jp, jge, jle, jmp. */
const TAKEN: ReadonlySet<number> = new Set([0x71, 0x73, 0x74, 0x76, 0x79, 0x7a, 0x7d, 0x7e, 0xeb]);
/** The distance of a short jump to itself. */
const TO_ITSELF = 0xfe;

/** @returns where in the code the first waiting place is; -1 if it has none */
export function findWaitingPlace(code: Uint8Array): number {
  for (let at = code.indexOf(TO_ITSELF, 1); at >= 0; at = code.indexOf(TO_ITSELF, at + 1)) {
    if (TAKEN.has(code[at - 1] as number)) return at - 1;
  }
  return -1;
}

/** @returns where in the code the first call site is; -1 if it has none */
export function findCallSite(code: Uint8Array): number {
  for (let at = code.indexOf(0x0f); at >= 0; at = code.indexOf(0x0f, at + 1)) {
    if (code[at + 1] === 0x05 && returnsAtOnce(code, at + 2)) return at;
  }
  return -1;
}

/** How many words of the stack a return sequence may look at, on either side of where its pointers stand. */
export const LANDING_WORDS = 32;
const REACH = (LANDING_WORDS - 1) * 8;
/** How many instructions a return sequence may have. */
const MOST_INSTRUCTIONS = 24;

/** Registers by their numbers in ModRM: what must not be lost. */
const AX = 0, SP = 4, BP = 5, R15 = 15;

/**
 * Whether the instructions from `at` on are a return and nothing else: they leave rax (the call's result) and r15
 * (which marks a waiting thread) alone, and the flags as {@link WAITING_FLAGS} says.
 */
function returnsAtOnce(code: Uint8Array, at: number): boolean {
  /** Where rsp stands from the middle of the words; rbp until it has been popped. */
  let stack = 0;
  let frame: number | undefined = 0;
  for (let count = 0; count < MOST_INSTRUCTIONS; count++) {
    const rex = (code[at] as number) >> 4 === 4 ? code[at++] as number : 0;
    const opcode = code[at++] as number;
    const wide = (rex & 0x8) !== 0, high = (rex & 0x1) !== 0, extended = (rex & 0x4) !== 0;
    if (opcode === 0xc3 && rex === 0) return true;
    if (opcode === 0xc9 && rex === 0) {
      // leave: mov rsp, rbp; pop rbp
      if (frame === undefined) return false;
      stack = frame + 8;
      frame = undefined;
    } else if (opcode >> 3 === 0x58 >> 3 && !wide) {
      const register = (opcode & 7) + (high ? 8 : 0);
      if (register === AX || register === SP || register === R15) return false;
      if (register === BP) frame = undefined;
      stack += 8;
    } else if ((opcode === 0x31 || opcode === 0x33) && extended === high) {
      // xor of a register with itself; of the halves it clears the whole.
      const modrm = code[at++] as number;
      const [left, right] = [modrm >> 3 & 7, modrm & 7];
      if (modrm >> 6 !== 3 || left !== right) return false;
      const register = right + (high ? 8 : 0);
      if (register === AX || register === SP || register === R15) return false;
      if (register === BP) frame = undefined;
    } else if (opcode === 0x8d && wide && !high && !extended && code[at] === 0x65) {
      // lea rsp, [rbp + disp8]
      if (frame === undefined) return false;
      stack = frame + ((code[at + 1] as number) << 24 >> 24);
      at += 2;
    } else return false;
    if (Math.abs(stack) > REACH || stack % 8 !== 0) return false;
  }
  return false;
}
