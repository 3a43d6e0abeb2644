/**
 * What lies in the kernel's own memory, read as a debugger of the kernel does it (drgn, bpftrace): by a BPF program of
 * two calls, bpf_get_current_task() and bpf_probe_read_kernel(), which changes nothing and fails where nothing is mapped
 * (`kernel/trace/bpf_trace.c`). Where each field lies the kernel tells itself (`btf.ts`). For state that no system call
 * and no file of /proc tells; who asks has to say what becomes of it where it cannot be read: without CAP_SYS_ADMIN (or
 * CAP_BPF and CAP_PERFMON), under lockdown, before Linux 5.14, or of kernels without CONFIG_DEBUG_INFO_BTF.
 *
 * @module
 */
import { type Instruction, loadProgram } from "./bpf.ts";
import { KernelTypes } from "./btf.ts";
import { isErrno } from "./errno.ts";
import { addressOf, syscall } from "./libc_ffi.ts";
import type { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** `include/uapi/linux/bpf.h`: a command, a program that is run by a system call, that it may sleep. */
const PROG_TEST_RUN = 10, TYPE_SYSCALL = 31, SLEEPABLE = 1 << 4;
/** How much of `union bpf_attr` the command takes. */
const RUN_SIZE = 80;
/** Numbers of the helpers. */
const GET_CURRENT_TASK = 35, PROBE_READ_KERNEL = 113;

/** What the program works on: the address to read (in), the task that asks, what was read, whether that failed (out). */
const ADDRESS = 0, TASK = 8, WORD = 16, RESULT = 24, CONTEXT_SIZE = 32;

/** Copies a word of the kernel's memory to the context. The verifier lets helpers write to the stack alone. */
const PROGRAM: readonly Instruction[] = [
  [0xbf, 6, 1, 0, 0], // r6 = context
  [0x85, 0, 0, 0, GET_CURRENT_TASK],
  [0x7b, 6, 0, TASK, 0], // context[TASK] = r0
  [0xbf, 1, 10, 0, 0], // r1 = stack - 8
  [0x07, 1, 0, 0, -8],
  [0xb7, 2, 0, 0, 8], // r2 = 8
  [0x79, 3, 6, ADDRESS, 0], // r3 = context[ADDRESS]
  [0x85, 0, 0, 0, PROBE_READ_KERNEL],
  [0x7b, 6, 0, RESULT, 0], // context[RESULT] = r0
  [0x79, 1, 10, -8, 0], // context[WORD] = the word on the stack
  [0x7b, 6, 1, WORD, 0],
  [0xb7, 0, 0, 0, 0], // return 0
  [0x95, 0, 0, 0, 0],
];

/** The types that have been read. */
let shared: KernelTypes | undefined;

/** A reader of the kernel's memory. */
export class KernelMemory implements Disposable {
  readonly types: KernelTypes;
  readonly #program: OwnedDescriptor;
  readonly #context = new Uint8Array(CONTEXT_SIZE);
  readonly #view = new DataView(this.#context.buffer);

  private constructor(types: KernelTypes, program: OwnedDescriptor) {
    this.types = types;
    this.#program = program;
  }

  /**
   * The types that {@link open} needs; undefined where this kernel or this user cannot read its memory. It takes a
   * tenth of a second.
   */
  static readTypes(): KernelTypes | undefined {
    using program = load();
    try {
      return program && new KernelTypes(Deno.readFileSync("/sys/kernel/btf/vmlinux"));
    } catch {
      return undefined;
    }
  }

  /** Makes one, with types that are read once; undefined where this kernel or this user cannot have it. */
  static openHere(): KernelMemory | undefined {
    shared ??= KernelMemory.readTypes();
    return shared && KernelMemory.open(shared);
  }

  /** Makes one; undefined where this kernel or this user cannot have it. */
  static open(types: KernelTypes): KernelMemory | undefined {
    const program = load();
    return program && new KernelMemory(types, program);
  }

  /** The `task_struct` of this thread. */
  currentTask(): bigint {
    this.#run(0n);
    return this.#view.getBigUint64(TASK, true);
  }

  /** A word of eight bytes. @returns undefined where nothing is mapped */
  word(address: bigint): bigint | undefined {
    if (!this.#run(address) || this.#view.getBigUint64(RESULT, true) !== 0n) return undefined;
    return this.#view.getBigUint64(WORD, true);
  }

  /** A field of a structure, as eight bytes. @returns undefined where nothing is mapped */
  field(address: bigint, struct: string, field: string): bigint | undefined {
    return this.word(address + this.types.offset(struct, field));
  }

  /** The open file (`struct file`) behind a descriptor of this process. @returns undefined where nothing is mapped */
  fileOf(fd: number): bigint | undefined {
    const files = this.field(this.currentTask(), "task_struct", "files");
    const table = files && this.field(files, "files_struct", "fdt");
    const descriptors = table && this.field(table, "fdtable", "fd");
    return descriptors && this.word(descriptors + 8n * BigInt(fd));
  }

  /** Some bytes, read word by word. @returns undefined where nothing is mapped */
  bytes(address: bigint, length: number): Uint8Array<ArrayBuffer> | undefined {
    const skipped = Number(address & 7n);
    const words = new BigUint64Array(Math.ceil((skipped + length) / 8));
    for (let index = 0; index < words.length; index++) {
      const word = this.word(address - BigInt(skipped) + 8n * BigInt(index));
      if (word === undefined) return undefined;
      words[index] = word;
    }
    return new Uint8Array(words.buffer, skipped, length);
  }

  #run(address: bigint): boolean {
    this.#view.setBigUint64(ADDRESS, address, true);
    const attributes = new Uint8Array(RUN_SIZE);
    const view = new DataView(attributes.buffer);
    view.setUint32(0, this.#program.fd, true);
    view.setUint32(40, CONTEXT_SIZE, true);
    view.setBigUint64(48, addressOf(this.#context), true);
    return !isErrno(syscall(SYSCALLS.bpf, PROG_TEST_RUN, attributes, RUN_SIZE));
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
  }
}

function load(): OwnedDescriptor | undefined {
  return loadProgram({ type: TYPE_SYSCALL, flags: SLEEPABLE }, PROGRAM);
}
