/**
 * Many system calls of this process at the price of one call out of JavaScript, which costs more than most of them:
 * what is read of each of a thousand sockets or threads while they stand still.
 *
 * @module
 */
import { takeThread } from "../blocking_threads.ts";
import { addressOf } from "../libc_ffi.ts";
import { mapOwnCode } from "./own_code.ts";
import { type SyscallName, SYSCALLS } from "./syscalls.ts";

/**
 * `void batch(uint64_t (*calls)[8], size_t count)`: each has its number, six arguments, and room for its result. Where
 * the number is negative, a word is copied from the first argument's address to that of the second.
 */
// deno-fmt-ignore
const CODE = [
  0x53,                         // 00 push rbx
  0x55,                         // 01 push rbp
  0x48, 0x89, 0xfb,             // 02 mov  rbx, rdi
  0x48, 0x89, 0xf5,             // 05 mov  rbp, rsi
  0x48, 0x85, 0xed,             // 08 next: test rbp, rbp
  0x74, 0x37,                   // 0b jz   done
  0x48, 0x8b, 0x03,             // 0d mov  rax, [rbx]
  0x48, 0x8b, 0x7b, 0x08,       // 10 mov  rdi, [rbx+8]
  0x48, 0x8b, 0x73, 0x10,       // 14 mov  rsi, [rbx+16]
  0x48, 0x85, 0xc0,             // 18 test rax, rax
  0x78, 0x1f,                   // 1b js   copy
  0x48, 0x8b, 0x53, 0x18,       // 1d mov  rdx, [rbx+24]
  0x4c, 0x8b, 0x53, 0x20,       // 21 mov  r10, [rbx+32]
  0x4c, 0x8b, 0x43, 0x28,       // 25 mov  r8,  [rbx+40]
  0x4c, 0x8b, 0x4b, 0x30,       // 29 mov  r9,  [rbx+48]
  0x0f, 0x05,                   // 2d syscall
  0x48, 0x89, 0x43, 0x38,       // 2f mov  [rbx+56], rax
  0x48, 0x83, 0xc3, 0x40,       // 33 made: add rbx, 64
  0x48, 0xff, 0xcd,             // 37 dec  rbp
  0xeb, 0xcc,                   // 3a jmp  next
  0x48, 0x8b, 0x07,             // 3c copy: mov rax, [rdi]
  0x48, 0x89, 0x06,             // 3f mov  [rsi], rax
  0xeb, 0xef,                   // 42 jmp  made
  0x5d,                         // 44 done: pop rbp
  0x5b,                         // 45 pop  rbx
  0xc3,                         // 46 ret
];

const SIGNATURE = { parameters: ["pointer", "usize"], result: "void" } as const;
const ASIDE = { ...SIGNATURE, nonblocking: true } as const;
/** How many words a call takes; where its arguments and its result stand. */
export const WORDS = 8, ARGUMENTS = 1, RESULT = 7;
/** The number of what is no call: a word is copied. */
export const COPY = -1n;

let mapped: bigint | undefined;
let code: Deno.UnsafeFnPointer<typeof SIGNATURE> | undefined;
let asideCode: Deno.UnsafeFnPointer<typeof ASIDE> | undefined;

function pointerTo<Definition extends Deno.ForeignFunction>(): Deno.PointerObject<Definition> {
  mapped ??= mapOwnCode("batch", CODE);
  return Deno.UnsafePointer.create(mapped) as Deno.PointerObject<Definition>;
}

/** What batches are being made in other threads, and nothing that they write to may be given back. */
const pending = new Set<unknown>();

/**
 * Has another thread make calls that stand in these words. It writes each result when it has it, and the thread that
 * traces goes on meanwhile.
 *
 * @param kept what the calls write to
 * @returns when all have been made
 */
export async function runAside(
  words: BigInt64Array<ArrayBuffer>,
  kept: readonly Uint8Array[],
): Promise<void> {
  const address = addressOf(new Uint8Array(words.buffer));
  asideCode ??= new Deno.UnsafeFnPointer(pointerTo<typeof ASIDE>(), ASIDE);
  const held = [words, kept];
  pending.add(held);
  const calls = BigInt(words.length / WORDS);
  const call = asideCode.call(Deno.UnsafePointer.create(address), calls);
  await takeThread(call);
  pending.delete(held);
}

/**
 * Has another thread make calls, one after the other, whatever comes of them.
 *
 * @param kept what they write to, which must stay where it is until all have been made
 * @returns what each returned: 0 or more, or the negative errno
 */
export async function callAside(
  calls: readonly BatchCall[],
  kept: readonly Uint8Array[],
): Promise<bigint[]> {
  const words = new BigInt64Array(calls.length * WORDS);
  calls.forEach(({ name, args }, index) => {
    words[index * WORDS] = BigInt(SYSCALLS[name]);
    args.forEach((arg, position) => {
      const value = arg instanceof Uint8Array ? addressOf(arg) : BigInt(arg);
      words[index * WORDS + ARGUMENTS + position] = BigInt.asIntN(64, value);
    });
  });
  if (calls.length > 0) await runAside(words, kept);
  return calls.map((_, index) => words[index * WORDS + RESULT] as bigint);
}

/** One call of a batch. Bytes stand for their address; the batch keeps them. */
export interface BatchCall {
  readonly name: SyscallName;
  readonly args: readonly (bigint | number | Uint8Array)[];
}

/** In a batch, between two calls: gives a call what an earlier one has returned as an argument. */
export interface PassedResult {
  /** The earlier call, by its place in the batch. */
  readonly from: number;
  /** The later one. */
  readonly to: number;
  /** Which of its arguments. */
  readonly position: number;
}

/** A list of system calls that is made again and again, with other arguments. */
export class CallBatch {
  readonly #words: BigInt64Array;
  readonly #pointer: Deno.PointerValue;
  /** Also keeps the memory that they point to. */
  readonly #calls: readonly (BatchCall | PassedResult)[];

  constructor(calls: readonly (BatchCall | PassedResult)[]) {
    this.#words = new BigInt64Array(calls.length * WORDS);
    this.#calls = calls;
    const address = addressOf(new Uint8Array(this.#words.buffer));
    const wordAt = (call: number, word: number) => address + BigInt((call * WORDS + word) * 8);
    calls.forEach((call, index) => {
      if ("from" in call) {
        this.#words[index * WORDS] = COPY;
        this.setArgument(index, 0, wordAt(call.from, RESULT));
        this.setArgument(index, 1, wordAt(call.to, ARGUMENTS + call.position));
        return;
      }
      const { name, args } = call;
      this.#words[index * WORDS] = BigInt(SYSCALLS[name]);
      args.forEach((arg, position) => {
        const value = arg instanceof Uint8Array ? addressOf(arg) : BigInt(arg);
        this.setArgument(index, position, value);
      });
    });
    this.#pointer = Deno.UnsafePointer.create(address);
  }

  /** Gives a call another argument. */
  setArgument(call: number, position: number, value: bigint): void {
    this.#words[call * WORDS + ARGUMENTS + position] = BigInt.asIntN(64, value);
  }

  /** Gives all calls the same first argument. */
  setFirstArguments(value: bigint): void {
    const words = this.#words, word = BigInt.asIntN(64, value);
    for (let at = ARGUMENTS; at < words.length; at += WORDS) words[at] = word;
  }

  /** Makes all calls, or the first ones, one after the other, whatever comes of them. */
  run(count: number = this.#calls.length): void {
    code ??= new Deno.UnsafeFnPointer(pointerTo<typeof SIGNATURE>(), SIGNATURE);
    code.call(this.#pointer, BigInt(count));
  }

  /** What a call returned: 0 or more, or the negative errno. */
  result(call: number): bigint {
    return this.#words[call * WORDS + RESULT] as bigint;
  }
}
