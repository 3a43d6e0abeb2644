import { deepEqual, equal, throws } from "@std/assert";
import { bytesWaiting, F, O, peekPipe, probeSemaphore, statusFlags } from "./fcntl.ts";
import { syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

function pipe(flags: number): { reader: OwnedDescriptor; writer: OwnedDescriptor } {
  const pair = new Int32Array(2);
  equal(syscall(SYSCALLS.pipe2, new Uint8Array(pair.buffer), flags | O.CLOEXEC), 0n);
  return {
    reader: new OwnedDescriptor(pair[0] as number),
    writer: new OwnedDescriptor(pair[1] as number),
  };
}

function write(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  equal(syscall(SYSCALLS.write, fd, bytes, bytes.length), BigInt(bytes.length));
}

const texts = (chunks: readonly Uint8Array[]) => chunks.map((one) => new TextDecoder().decode(one));

Deno.test("peekPipe() shows the contents of a stream and leaves them there, through either end", () => {
  const { reader, writer } = pipe(O.NONBLOCK);
  using _reader = reader;
  using _writer = writer;
  deepEqual(peekPipe(reader.fd), { size: 65536, chunks: [] });
  write(writer.fd, "one");
  write(writer.fd, "two");
  for (const fd of [reader.fd, writer.fd]) deepEqual(texts(peekPipe(fd).chunks), ["onetwo"]);
  equal(bytesWaiting(writer.fd), 6);
});

Deno.test("peekPipe() keeps packets apart and tells the size of the buffer", () => {
  const { reader, writer } = pipe(O.NONBLOCK | O.DIRECT);
  using _reader = reader;
  using _writer = writer;
  equal(syscall(SYSCALLS.fcntl, writer.fd, F.SETPIPE_SZ, 8192), 8192n);
  write(writer.fd, "one");
  write(writer.fd, "two");
  const { size, chunks } = peekPipe(reader.fd);
  deepEqual([size, texts(chunks)], [8192, ["one", "two"]]);
});

Deno.test("peekPipe() shows a full pipe of single-byte packets", () => {
  const { reader, writer } = pipe(O.NONBLOCK | O.DIRECT);
  using _reader = reader;
  using _writer = writer;
  for (let i = 0; i < 16; i++) write(writer.fd, "x");
  equal(peekPipe(reader.fd).chunks.length, 16);
});

Deno.test("statusFlags() names the call and the errno of a closed descriptor", () => {
  throws(() => statusFlags(999_999), /fcntl\(999999, F_GETFL\) failed: EBADF/);
});

Deno.test("probeSemaphore() tells both kinds of eventfd apart and keeps the counter", () => {
  for (const semaphore of [false, true]) {
    for (const count of [0n, 1n, 2n, 3n, 0xffff_ffff_ffff_fff0n]) {
      const made = syscall(SYSCALLS.eventfd2, 0, O.CLOEXEC | O.NONBLOCK | (semaphore ? 1 : 0));
      using eventfd = new OwnedDescriptor(Number(made));
      if (count > 0n) syscall(SYSCALLS.write, eventfd.fd, new BigUint64Array([count]), 8);
      equal(probeSemaphore(eventfd.fd, count), semaphore, `${semaphore} ${count}`);
      const info = Deno.readTextFileSync(`/proc/self/fdinfo/${eventfd.fd}`);
      equal(BigInt(`0x${/eventfd-count:\s*([0-9a-f]+)/.exec(info)?.[1]}`), count);
    }
  }
});
