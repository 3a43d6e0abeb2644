/**
 * Keeping the core images of many threads small: they share what is equal in them, as of ten thousand threads nearly all
 * have the same credentials, and have their extended registers in typed arrays, which take a fraction.
 *
 * @module
 */
import type { core_entry } from "./gen/thread_pb.ts";

type Words = readonly (number | bigint)[];

/** Parts that several images have. */
export class SharedParts {
  readonly #parts = new Map<string, unknown>();
  readonly #zeros = new Map<string, Words>();

  /** Replaces parts of an image by smaller ones, and by those of an earlier one, which nobody must change. */
  share({ threadCore, threadInfo }: core_entry): void {
    if (threadCore?.creds !== undefined) threadCore.creds = this.#same(threadCore.creds);
    if (threadInfo === undefined) return;
    threadInfo.tls = this.#same(threadInfo.tls);
    const { fpregs } = threadInfo;
    if (fpregs === undefined) return;
    this.#pack(fpregs, ["stSpace", "xmmSpace", "padding"]);
    if (fpregs.xsave === undefined) return;
    this.#pack(fpregs.xsave, ["ymmhSpace", "bndregState", "bndcsrState", "opmaskReg"]);
    this.#pack(fpregs.xsave, ["zmmUpper", "hi16Zmm", "pkru"]);
  }

  #same<T>(part: T): T {
    const key = JSON.stringify(part);
    const known = this.#parts.get(key);
    if (known !== undefined) return known as T;
    this.#parts.set(key, part);
    return part;
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
        ? Uint32Array.from(words as number[])
        : BigUint64Array.from(words as bigint[]);
      return packed as unknown as Words;
    }
    const key = `${typeof first} ${words.length}`;
    const zeros = this.#zeros.get(key) ?? Object.freeze(words);
    this.#zeros.set(key, zeros);
    return zeros;
  }
}
