/**
 * The general registers of an x86-64 task as PTRACE_GETREGS gives them: `struct user_regs_struct` of
 * `arch/x86/include/asm/user_64.h`, 27 words of 64 bits.
 *
 * @module
 */

/** The registers in the order of `struct user_regs_struct`. */
export const REGISTER_NAMES = [
  "r15",
  "r14",
  "r13",
  "r12",
  "bp",
  "bx",
  "r11",
  "r10",
  "r9",
  "r8",
  "ax",
  "cx",
  "dx",
  "si",
  "di",
  "orig_ax",
  "ip",
  "cs",
  "flags",
  "sp",
  "ss",
  "fs_base",
  "gs_base",
  "ds",
  "es",
  "fs",
  "gs",
] as const;

/** The name of a general register. */
export type RegisterName = typeof REGISTER_NAMES[number];

/** The index of each register in `struct user_regs_struct`. */
export const REGISTER = Object.fromEntries(
  REGISTER_NAMES.map((name, index) => [name, index]),
) as Readonly<Record<RegisterName, number>>;

/** The selector of 64-bit user code (`__USER_CS`); a compat task has `__USER32_CS`, 0x23. */
export const USER_CS = 0x33n;
/** The selector of data and stack of 64-bit programs (`__USER_DS`). */
export const USER_DS = 0x2bn;

/** The general registers of one stopped thread; a value, copied with {@link Registers.copy}. */
export class Registers {
  /** The raw words, for ptrace. */
  readonly words: BigUint64Array<ArrayBuffer>;

  constructor(words: BigUint64Array<ArrayBuffer> = new BigUint64Array(REGISTER_NAMES.length)) {
    this.words = words;
  }

  /** One register. */
  get(name: RegisterName): bigint {
    return this.words[REGISTER[name]] as bigint;
  }

  /** Sets one register, and returns this. */
  set(name: RegisterName, value: bigint): this {
    this.words[REGISTER[name]] = BigInt.asUintN(64, value);
    return this;
  }

  /** An independent copy. */
  copy(): Registers {
    return new Registers(this.words.slice());
  }

  /**
   * Why a thread cannot be given these segments: the kernel takes every selector that could be a user's, and the thread
   * dies of one that is not there as soon as it returns to its program.
   */
  get segmentProblem(): string | undefined {
    if (this.get("cs") !== USER_CS) return "runs 32-bit code";
    const stack = this.get("ss");
    return stack === USER_DS
      ? undefined
      : `has a stack segment of its own (ss is 0x${stack.toString(16)})`;
  }
}

/** `syscall` as machine code. */
export const SYSCALL_INSTRUCTION = new Uint8Array([0x0f, 0x05]);
