/**
 * Attaching socket filters of the images again. Pure.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { INSTRUCTION } from "../checkpoint/socket_filter.ts";
import { SOL_SOCKET } from "../linux/net/socket_ffi.ts";
import { SO } from "../linux/net/socket_options.ts";
import type { Argument, SyscallProgram } from "../remote/program.ts";

/** The size of a struct sock_fprog: the number of instructions, and at 8 where they are. */
const PROGRAM = 16, PROGRAM_FILTER_AT = 8;

/** What `encodeFilter()` was made of. */
export function decodeFilter(numbers: readonly bigint[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(numbers.length * INSTRUCTION);
  const view = new DataView(bytes.buffer);
  numbers.forEach((number, index) => {
    const at = index * INSTRUCTION;
    view.setUint16(at, Number(number >> 48n & 0xffffn), true);
    view.setUint8(at + 2, Number(number >> 40n & 0xffn));
    view.setUint8(at + 3, Number(number >> 32n & 0xffn));
    view.setUint32(at + 4, Number(number & 0xffffffffn), true);
  });
  return bytes;
}

/** BPF_MAXINSNS (`include/uapi/linux/bpf_common.h`). */
const MOST_INSTRUCTIONS = 4096;

/**
 * Adds the call that attaches a filter, if there is one.
 *
 * @throws {StasisError} `bad-image` of one that is longer than any
 */
export function planFilter(
  program: SyscallProgram,
  fd: Argument,
  numbers: readonly bigint[],
): void {
  if (numbers.length === 0) return;
  if (numbers.length > MOST_INSTRUCTIONS) {
    throw new StasisError("bad-image", `a socket has a filter of ${numbers.length} instructions`);
  }
  const head = new Uint8Array(PROGRAM);
  new DataView(head.buffer).setUint16(0, numbers.length, true);
  const instructions = program.data(decodeFilter(numbers), `${numbers.length} instructions`);
  const filter = program.data(head, "sock_fprog").point(PROGRAM_FILTER_AT, instructions);
  program.call("setsockopt", fd, SOL_SOCKET, SO.ATTACH_FILTER, filter, PROGRAM);
}
