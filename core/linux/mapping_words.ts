/**
 * What the kernel keeps of each mapping: where it begins and ends, and all its flags in one word (`vm_flags` of
 * `include/linux/mm_types.h`), told by a BPF program that the kernel runs for every mapping of a task
 * (`kernel/bpf/task_iter.c`, Linux 6.1 for one task). No page table is walked, as it is for each line of
 * `/proc/PID/smaps`. What the bits mean is another thing with each kernel, and is to be learnt from that file.
 *
 * @module
 */
import { type Instruction, loadProgram } from "./bpf.ts";
import { KernelTypes } from "./btf.ts";
import { Errno, isErrno } from "./errno.ts";
import { addressOf, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** `include/uapi/linux/bpf.h`: commands, how much of `union bpf_attr` they take, and of `union bpf_iter_link_info`. */
const LINK_CREATE = 28, ITER_CREATE = 33, LINK_SIZE = 32, ITER_SIZE = 8, TARGET_SIZE = 16;
/** A program for tracing, run as an iterator; the helper that hands out what it has found. */
const TYPE_TRACING = 26, TRACE_ITER = 28, SEQ_WRITE = 127;

/** What is told of a mapping: its begin, its end, its flags. */
const WORDS = 3, SIZE = WORDS * 8;

/** What the program is given: where it writes to, the task, the mapping (`struct bpf_iter__task_vma`). */
const META = 0, VMA = 16;

/** Hands out three words of a mapping. @param offsets where they lie in `struct vm_area_struct` */
function program(offsets: readonly number[]): Instruction[] {
  return [
    [0x79, 6, 1, META, 0], // r6 = context->meta
    [0x79, 7, 1, VMA, 0], // r7 = context->vma
    [0x15, 7, 0, 5 + 2 * WORDS, 0], // if r7 == 0: there is no other one
    ...offsets.flatMap((offset, index): Instruction[] => [
      [0x79, 1, 7, offset, 0], // r1 = vma->...
      [0x7b, 10, 1, index * 8 - SIZE, 0], // on the stack
    ]),
    [0x79, 1, 6, 0, 0], // r1 = meta->seq
    [0xbf, 2, 10, 0, 0], // r2 = stack - 24
    [0x07, 2, 0, 0, -SIZE],
    [0xb7, 3, 0, 0, SIZE], // r3 = 24
    [0x85, 0, 0, 0, SEQ_WRITE],
    [0xb7, 0, 0, 0, 0], // return 0
    [0x95, 0, 0, 0, 0],
  ];
}

/** What has been looked up of this kernel; null where it does not tell. */
let looked: { readonly attachTo: number; readonly offsets: readonly number[] } | null | undefined;

function lookUp(): typeof looked {
  try {
    const types = new KernelTypes(Deno.readFileSync("/sys/kernel/btf/vmlinux"));
    const offsets = ["vm_start", "vm_end", "vm_flags"]
      .map((field) => Number(types.offset("vm_area_struct", field)));
    return { attachTo: types.functionId("bpf_iter_task_vma"), offsets };
  } catch {
    return null;
  }
}

/** A mapping as the kernel keeps it. */
export interface MappingWords {
  readonly start: bigint;
  readonly end: bigint;
  readonly flags: bigint;
}

/** How much is read at once: what the kernel collects (`bpf_seq_read()` of `kernel/bpf/bpf_iter.c`). */
const PIECE = 8 << 12;

/**
 * Makes a reader, for which the types of the kernel are read once (some hundredths of a second); undefined where this
 * kernel or this user cannot have it.
 */
export function openMappingReader(): MappingReader | undefined {
  looked ??= lookUp();
  if (!looked) return undefined;
  const { attachTo, offsets } = looked;
  const kind = { type: TYPE_TRACING, attachType: TRACE_ITER, attachTo };
  const loaded = loadProgram(kind, program(offsets));
  return loaded && new MappingReader(loaded);
}

/** Reads them. */
export class MappingReader implements Disposable {
  readonly #program: OwnedDescriptor;

  constructor(program: OwnedDescriptor) {
    this.#program = program;
  }

  /** The mappings of a task, ascending, without the one of vsyscall; undefined where the kernel does not tell. */
  read(tid: number): MappingWords[] | undefined {
    using iterator = this.#iterate(tid);
    if (iterator === undefined) return undefined;
    const found: MappingWords[] = [];
    const piece = new BigUint64Array(PIECE / 8);
    const bytes = new Uint8Array(piece.buffer);
    for (;;) {
      const length = syscall(SYSCALLS.read, iterator.fd, bytes, PIECE);
      if (length === -BigInt(Errno.EINTR) || length === -BigInt(Errno.EAGAIN)) continue;
      if (isErrno(length) || Number(length) % SIZE !== 0) return undefined;
      if (length === 0n) return found;
      for (let at = 0; at < Number(length) / 8; at += WORDS) {
        found.push({ start: piece[at]!, end: piece[at + 1]!, flags: piece[at + 2]! });
      }
    }
  }

  /** One task's: of a thread group the kernel would tell the mappings once for each thread. */
  #iterate(tid: number): OwnedDescriptor | undefined {
    const target = new Uint8Array(TARGET_SIZE);
    new DataView(target.buffer).setUint32(0, tid, true);
    const attributes = new Uint8Array(LINK_SIZE);
    const view = new DataView(attributes.buffer);
    view.setUint32(0, this.#program.fd, true);
    view.setUint32(8, TRACE_ITER, true);
    view.setBigUint64(16, addressOf(target), true);
    view.setUint32(24, TARGET_SIZE, true);
    using link = descriptor(LINK_CREATE, attributes);
    if (link === undefined) return undefined;
    const iteration = new Uint8Array(ITER_SIZE);
    new DataView(iteration.buffer).setUint32(0, link.fd, true);
    return descriptor(ITER_CREATE, iteration);
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
  }
}

function descriptor(
  command: number,
  attributes: Uint8Array<ArrayBuffer>,
): OwnedDescriptor | undefined {
  const fd = syscall(SYSCALLS.bpf, command, attributes, attributes.length);
  return isErrno(fd) ? undefined : new OwnedDescriptor(Number(fd));
}
