import assert from "@std/assert";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { formatCall } from "./format_call.ts";
import { SyscallProgram } from "./program.ts";
import { ProgramImage } from "./program_image.ts";
import { ProgramReply } from "./program_reply.ts";
import { walkProgram } from "./walk_program.ts";

const THREAD = { tgid: 10, tid: 11, signal: 23 };
const BASE = 0x10000n;

function emit(program: SyscallProgram) {
  const image = new ProgramImage(program);
  const bytes = new Uint8Array(image.size);
  image.emit(bytes, BASE, THREAD);
  return { image, bytes, view: new DataView(bytes.buffer) };
}

/** Has the program walked through. */
function interpret(
  bytes: Uint8Array,
  image: ProgramImage,
  kernel: (number: number, args: bigint[]) => bigint,
  from = image.entriesAt,
): void {
  const at = (address: bigint): number => Number(address - BASE);
  const memory = {
    read: (address: bigint, size: number) => bytes.subarray(at(address), at(address) + size),
    write: (address: bigint, words: Uint8Array) => bytes.set(words, at(address)),
  };
  const place = { entries: BASE + BigInt(from), tail: BASE + BigInt(image.tailAt) };
  walkProgram(memory, place, (number, args) => kernel(Number(number), [...args]));
}

Deno.test("SyscallProgram passes results of calls and integers in memory on", () => {
  const program = new SyscallProgram("test");
  const fds = program.output(8);
  const made = program.call("pipe2", fds, 0);
  program.call("write", fds.int(4), "hi", 2);
  const copy = program.call("dup", fds.int(0));
  program.call("close", copy);
  const { image, bytes } = emit(program);
  const seen: [number, bigint[]][] = [];
  interpret(bytes, image, (number, args) => {
    seen.push([number, args]);
    if (number === SYSCALLS.pipe2) {
      new DataView(bytes.buffer).setUint32(Number((args[0] as bigint) - BASE), 7, true);
      new DataView(bytes.buffer).setUint32(
        Number((args[0] as bigint) - BASE) + 4,
        0xfffffff8,
        true,
      );
    }
    if (number === SYSCALLS.write) {
      const from = Number((args[1] as bigint) - BASE);
      assert.deepEqual([...bytes.subarray(from, from + 3)], [104, 105, 0]);
    }
    return number === SYSCALLS.dup ? 9n : 0n;
  });
  assert.deepEqual(seen.map(([number, args]) => [number, args[0]]).slice(1), [
    [SYSCALLS.write, 0xfffffff8n],
    [SYSCALLS.dup, 7n],
    [SYSCALLS.close, 9n],
  ]);
  const reply = image.reply(bytes.subarray(image.entriesAt), BASE);
  assert.equal(reply.failed, undefined);
  assert.equal(reply.result(made), 0n);
  assert.equal(reply.result(copy), 9n);
  assert.equal(reply.output(fds)[0], 7);
});

Deno.test("SyscallProgram stops at a required call that fails, and the reply names it", () => {
  const program = new SyscallProgram("test");
  const optional = program.try("close", 99);
  program.call("openat", -100, "/no/such", 0, 0);
  const never = program.call("getpid");
  const { image, bytes } = emit(program);
  interpret(bytes, image, (number) => number === SYSCALLS.close ? -9n : -2n);
  const reply = image.reply(bytes.subarray(image.entriesAt), BASE);
  assert.equal(reply.failed, 1);
  assert.equal(reply.result(optional), -9n);
  assert.throws(() => reply.result(never), RangeError);
  assert.equal(reply.describe(1), 'openat(AT_FDCWD, "/no/such", O_RDONLY, 00) = -1 ENOENT');
});

Deno.test("SyscallProgram.expect() takes another result for a failure", () => {
  const program = new SyscallProgram("test");
  program.expect(4n, "write", 1, "four", 4);
  const { image, bytes } = emit(program);
  interpret(bytes, image, () => 3n);
  assert.equal(image.reply(bytes.subarray(image.entriesAt), BASE).failed, 0);
});

Deno.test("SyscallProgram goes on with its sequel, where calls are made as far as earlier ones have succeeded", () => {
  const program = new SyscallProgram("test");
  const first = program.call("dup", 5);
  const second = program.call("dup", 6);
  const third = program.call("dup", 7);
  program.beginSequel();
  for (const made of [first, second, third]) program.tryWhere(made, 0n, "close", made);
  program.call("getpid");
  const { image, bytes, view } = emit(program);
  const seen: [number, bigint][] = [];
  const kernel = (number: number, [arg]: bigint[]) => {
    seen.push([number, arg as bigint]);
    return arg === 6n ? -24n : 0n;
  };
  interpret(bytes, image, kernel);
  const reply = image.reply(bytes.subarray(image.entriesAt), BASE);
  assert.equal(reply.failed, 1);
  assert.throws(() => reply.result(third), RangeError);
  const sequel = Number(view.getBigUint64(image.tailAt + 48, true) - BASE);
  assert.equal(sequel, image.sequelAt);
  interpret(bytes, image, kernel, sequel);
  // A result of 0 is one, and what was not made has none.
  assert.deepEqual(seen, [
    [SYSCALLS.dup, 5n],
    [SYSCALLS.dup, 6n],
    [SYSCALLS.close, 0n],
    [SYSCALLS.getpid, 0n],
  ]);
});

Deno.test("SyscallProgram ends in front of its sequel, and has none unless it is begun", () => {
  const program = new SyscallProgram("test");
  program.call("getpid");
  const plain = emit(program);
  assert.equal(plain.view.getBigUint64(plain.image.tailAt + 48, true), 0n);
  program.beginSequel();
  program.call("exit_group", 0);
  const { image, bytes } = emit(program);
  const seen: number[] = [];
  interpret(bytes, image, (number) => BigInt(seen.push(number)));
  assert.deepEqual(seen, [SYSCALLS.getpid]);
  assert.equal(image.reply(bytes.subarray(image.entriesAt), BASE).failed, undefined);
});

Deno.test("ScratchData.point() puts addresses of other scratch memory into structures", () => {
  const program = new SyscallProgram("test");
  const target = program.data(new Uint8Array([1, 2, 3]));
  const outer = program.data(new Uint8Array(16)).point(8, target, 1);
  program.call("writev", 1, outer, 1);
  const { image, bytes, view } = emit(program);
  interpret(bytes, image, (_, args) => {
    const at = Number((args[1] as bigint) - BASE);
    const pointed = Number(view.getBigUint64(at + 8, true) - BASE);
    assert.deepEqual([...bytes.subarray(pointed, pointed + 2)], [2, 3]);
    return 0n;
  });
});

Deno.test("formatCall() prints like strace, with results of earlier calls where they are known", () => {
  const program = new SyscallProgram("test");
  const fd = program.call("openat", -100, "/dev/zero", 2, 0);
  program.call("mmap", 0x7f0000000000n, 4096, 3, 0x100002, fd, 0);
  const call = program.calls[1] as typeof program.calls[number];
  const text = (result: string) =>
    `mmap(0x7f0000000000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED_NOREPLACE, ${result}, 0)`;
  assert.equal(formatCall(call), text("$0"));
  assert.equal(formatCall(call, () => 5n), text("5"));
});

Deno.test("ProgramReply.describe() tells what is not known", () => {
  const program = new SyscallProgram("test");
  program.call("getpid");
  const reply = new ProgramReply(program, () => undefined, () => undefined, undefined);
  assert.equal(reply.describe(0), "getpid() = ?");
});
