/**
 * Where the kernel sees the pages that its structures name by their `struct page`: all of the memory lies there once more
 * from some address on, and the structures lie in an array, so that one page whose number, structure and contents are
 * known tells of all others (`arch/x86/include/asm/page_64.h`, `include/asm-generic/memory_model.h`). Both begins are
 * chosen anew with each start of the machine (CONFIG_RANDOMIZE_MEMORY), and no file tells them.
 *
 * @module
 */
import { O } from "./fcntl.ts";
import { isErrno } from "./errno.ts";
import type { KernelMemory } from "./kernel_memory.ts";
import { addressOf, syscall } from "./libc_ffi.ts";
import { must } from "./must.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const PAGE = 4096, WORD = 8;
/** Memory begins at a multiple of this (PUD_SIZE, `arch/x86/mm/kaslr.c`), and within so many of them. */
const STEP = 1n << 30n, MOST_STEPS = 1 << 16;
/** Of an entry of /proc/PID/pagemap the number of the page; 0 where who asks may not know it. */
const NUMBER = (1n << 55n) - 1n;

/** Finds the addresses of pages. */
export class KernelPages {
  readonly #start: bigint;
  readonly #structures: bigint;
  readonly #size: bigint;

  private constructor(start: bigint, structures: bigint, size: number) {
    this.#start = start;
    this.#structures = structures;
    this.#size = BigInt(size);
  }

  /** @returns undefined where they cannot be found @throws {StasisError} `unsupported` of a kernel of another form */
  static find(memory: KernelMemory): KernelPages | undefined {
    const room = new Uint8Array(2 * PAGE);
    const start = addressOf(room);
    const page = start + BigInt(PAGE) - start % BigInt(PAGE);
    const own = new BigUint64Array(room.buffer, Number(page - start), 2);
    crypto.getRandomValues(own);
    const pair = new Int32Array(2);
    must(syscall(SYSCALLS.pipe2, new Uint8Array(pair.buffer), O.CLOEXEC), "pipe2");
    using reading = new OwnedDescriptor(pair[0] as number);
    using writing = new OwnedDescriptor(pair[1] as number);
    const vector = new BigUint64Array([page, BigInt(PAGE)]);
    if (isErrno(syscall(SYSCALLS.vmsplice, writing.fd, vector, 1, 0))) return undefined;
    const file = memory.fileOf(reading.fd);
    const pipe = file && memory.field(file, "file", "private_data");
    const buffers = pipe && memory.field(pipe, "pipe_inode_info", "bufs");
    const structure = buffers && memory.field(buffers, "pipe_buffer", "page");
    // The pipe holds it, and so it stays where it is.
    const number = pageNumber(page);
    if (structure === undefined || number === 0n) return undefined;
    const size = memory.types.size("page");
    for (let base = memory.currentTask() / STEP * STEP, step = 0; step < MOST_STEPS; step++) {
      const at = base + number * BigInt(PAGE);
      if (memory.word(at) === own[0] && memory.word(at + BigInt(WORD)) === own[1]) {
        return new KernelPages(base, structure - number * BigInt(size), size);
      }
      base -= STEP;
    }
    return undefined;
  }

  /** The address of a page. @param structure of its `struct page` */
  addressOf(structure: bigint): bigint {
    return this.#start + (structure - this.#structures) / this.#size * BigInt(PAGE);
  }
}

/** The number of a page of this process; 0: not known. */
function pageNumber(address: bigint): bigint {
  using map = Deno.openSync("/proc/self/pagemap");
  const entry = new Uint8Array(WORD);
  map.seekSync(address / BigInt(PAGE) * BigInt(WORD), Deno.SeekMode.Start);
  if (map.readSync(entry) !== WORD) return 0n;
  return new DataView(entry.buffer).getBigUint64(0, true) & NUMBER;
}
