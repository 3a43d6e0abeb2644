/**
 * Keeping the core images of many threads small: they share what is equal in them, as of ten thousand threads nearly all
 * have the same credentials, and have their registers in typed arrays, which take a fifth.
 *
 * @module
 */
import { Pieces } from "../base/pieces.ts";
import type { user_x86_regs_entry, user_x86_regs_mode } from "./gen/registers_x86_pb.ts";
import type { sa_entry } from "./gen/signals_pb.ts";
import type { core_entry, task_rlimits_entry } from "./gen/thread_pb.ts";

type Words = readonly (number | bigint)[];

/** Parts that several images have. */
export class SharedParts {
  readonly #parts = new Map<string, unknown>();
  readonly #zeros = new Map<string, Words>();
  readonly #pieces = new Pieces();
  /** Those of the task before: of many of a kind all have the same. */
  #lastActions: sa_entry[] = [];

  /** Replaces parts of an image by smaller ones, and by those of an earlier one, which nobody must change. */
  share({ tc, threadCore, threadInfo }: core_entry): void {
    if (tc !== undefined) {
      // Most are as in a fresh process, and every process has some sixty.
      const actions = tc.sigactions.map((action) => this.#same(action, keyOfAction(action)));
      const last = this.#lastActions;
      const areSame = actions.length === last.length &&
        actions.every((action, at) => action === last[at]);
      tc.sigactions = this.#lastActions = areSame ? last : actions;
      if (tc.rlimits !== undefined) tc.rlimits = this.#same(tc.rlimits, keyOfLimits(tc.rlimits));
    }
    if (threadCore?.creds !== undefined) threadCore.creds = this.#same(threadCore.creds);
    if (threadInfo === undefined) return;
    threadInfo.tls = this.#same(threadInfo.tls);
    const { gpregs, fpregs } = threadInfo;
    if (gpregs !== undefined) threadInfo.gpregs = this.#packGeneral(gpregs);
    if (fpregs === undefined) return;
    this.#pack(fpregs, ["stSpace", "xmmSpace", "padding"]);
    if (fpregs.xsave === undefined) return;
    this.#pack(fpregs.xsave, ["ymmhSpace", "bndregState", "bndcsrState", "opmaskReg"]);
    this.#pack(fpregs.xsave, ["zmmUpper", "hi16Zmm", "pkru"]);
  }

  /** @param key tells it from all others; JSON takes no bigints */
  #same<T>(part: T, key = JSON.stringify(part)): T {
    const known = this.#parts.get(key);
    if (known !== undefined) return known as T;
    this.#parts.set(key, part);
    return part;
  }

  #packGeneral(registers: user_x86_regs_entry): user_x86_regs_entry {
    const words = GENERAL.map((name) => registers[name]);
    const packed = new PackedRegisters(this.#inPiece(BigUint64Array, words), registers.mode);
    return packed as unknown as user_x86_regs_entry;
  }

  #pack<Field extends string>(message: Record<Field, Words>, fields: readonly Field[]): void {
    for (const field of fields) message[field] = this.#packed(message[field]);
  }

  /** A typed array is read as a list is. */
  #packed(words: Words): Words {
    const [first] = words;
    if (first === undefined) return words;
    if (words.some((word) => word !== 0 && word !== 0n)) {
      const packed = typeof first === "number"
        ? this.#inPiece(Uint32Array, words as number[])
        : this.#inPiece(BigUint64Array, words as bigint[]);
      return packed as unknown as Words;
    }
    const key = `${typeof first} ${words.length}`;
    const zeros = this.#zeros.get(key) ?? Object.freeze(words);
    this.#zeros.set(key, zeros);
    return zeros;
  }

  #inPiece<Word, Packed extends { set(words: readonly Word[]): void }>(
    Type: {
      new (buffer: ArrayBuffer, offset: number, length: number): Packed;
      readonly BYTES_PER_ELEMENT: number;
    },
    words: readonly Word[],
  ): Packed {
    const { buffer, at } = this.#pieces.take(words.length * Type.BYTES_PER_ELEMENT);
    const packed = new Type(buffer, at, words.length);
    packed.set(words);
    return packed;
  }
}

function keyOfAction(action: sa_entry): string {
  const { sigaction, flags, restorer, mask, compatSigaction } = action;
  return `action ${sigaction} ${flags} ${restorer} ${mask} ${compatSigaction}`;
}

function keyOfLimits({ rlimits }: task_rlimits_entry): string {
  return `limits ${rlimits.map(({ cur, max }) => `${cur} ${max}`).join()}`;
}

/** The general registers of an image. */
const GENERAL = [
  ...["r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx"] as const,
  ...["dx", "si", "di", "origAx", "ip", "cs", "flags", "sp", "ss", "fsBase", "gsBase"] as const,
  ...["ds", "es", "fs", "gs"] as const,
];

/** General registers in a typed array, under the names that they have in a message, which takes two kilobytes. */
class PackedRegisters {
  constructor(readonly words: BigUint64Array, readonly mode: user_x86_regs_mode) {}
}
for (const [index, name] of GENERAL.entries()) {
  Object.defineProperty(PackedRegisters.prototype, name, {
    get(this: PackedRegisters) {
      return this.words[index];
    },
  });
}
