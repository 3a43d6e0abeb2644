/**
 * A system call that another thread makes, for one that may never come back: a file system whose server is dead
 * holds up whoever asks it anything, and no signal ends that but one that kills.
 *
 * @module
 */
import { takeThread } from "../blocking_threads.ts";
import { addressOf } from "../libc_ffi.ts";
import { mapOwnCode } from "./own_code.ts";

/**
 * `void aside(uint64_t block[9])`: makes the call of block[0] with the arguments that follow, and leaves its result
 * in block[7] and then 1 in block[8].
 */
// deno-fmt-ignore
const CODE = [
  0x53,                                           // push rbx
  0x48, 0x89, 0xfb,                               // mov  rbx, rdi
  0x48, 0x8b, 0x03,                               // mov  rax, [rbx]
  0x48, 0x8b, 0x7b, 0x08,                         // mov  rdi, [rbx+8]
  0x48, 0x8b, 0x73, 0x10,                         // mov  rsi, [rbx+16]
  0x48, 0x8b, 0x53, 0x18,                         // mov  rdx, [rbx+24]
  0x4c, 0x8b, 0x53, 0x20,                         // mov  r10, [rbx+32]
  0x4c, 0x8b, 0x43, 0x28,                         // mov  r8,  [rbx+40]
  0x4c, 0x8b, 0x4b, 0x30,                         // mov  r9,  [rbx+48]
  0x0f, 0x05,                                     // syscall
  0x48, 0x89, 0x43, 0x38,                         // mov  [rbx+56], rax
  0x48, 0xc7, 0x43, 0x40, 0x01, 0x00, 0x00, 0x00, // mov  qword [rbx+64], 1
  0x5b,                                           // pop  rbx
  0xc3,                                           // ret
];

const WORDS = 9, RESULT = 7, DONE = 8;
const SIGNATURE = { parameters: ["buffer"], result: "void", nonblocking: true } as const;

let code: Deno.UnsafeFnPointer<typeof SIGNATURE> | undefined;
/** What calls that have not come back still write to. */
const pending = new Set<readonly Uint8Array[]>();

/** A call that was begun. */
export interface AsideCall {
  /** Its result, or the negative errno; undefined as long as there is none. Takes no turn of the event loop. */
  result(): bigint | undefined;
}

/**
 * Begins a system call in another thread.
 *
 * @param number its number, see `syscalls.ts`
 * @param args integers, or memory that the kernel reads or writes; nobody else may touch it meanwhile
 */
export function callAside(number: number, ...args: (bigint | Uint8Array)[]): AsideCall {
  const words = new BigInt64Array(WORDS);
  words[0] = BigInt(number);
  args.forEach((value, index) => {
    words[index + 1] = typeof value === "bigint" ? value : BigInt.asIntN(64, addressOf(value));
  });
  const block = new Uint8Array(words.buffer);
  // The address is taken so that the buffer has left V8's heap before the code writes to it.
  addressOf(block);
  const held = [block, ...args.filter((value) => typeof value !== "bigint")];
  pending.add(held);
  if (code === undefined) {
    const pointer = Deno.UnsafePointer.create(mapOwnCode("aside", CODE));
    code = new Deno.UnsafeFnPointer(pointer as Deno.PointerObject<typeof SIGNATURE>, SIGNATURE);
  }
  void takeThread(code.call(block)).then(() => pending.delete(held));
  return {
    result: () => Atomics.load(words, DONE) === 0n ? undefined : words[RESULT],
  };
}
