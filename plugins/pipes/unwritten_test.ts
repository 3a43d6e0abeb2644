import { deepEqual } from "@std/assert";
import { Descriptor } from "../../core/checkpoint/task.ts";
import { O } from "../../core/linux/fcntl.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { parseFdLink, readFdInfo } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { UnwrittenFifos } from "./unwritten.ts";

/** A pipe, which is a fifo without a name. */
function makePipe(): [reader: OwnedDescriptor, writer: OwnedDescriptor] {
  const pair = new Int32Array(2);
  syscall(SYSCALLS.pipe2, new Uint8Array(pair.buffer), O.CLOEXEC | O.NONBLOCK);
  return [new OwnedDescriptor(pair[0] as number), new OwnedDescriptor(pair[1] as number)];
}

function descriptor({ fd }: OwnedDescriptor): Descriptor {
  return new Descriptor(Deno.pid, fd, parseFdLink("/a/fifo"), readFdInfo(Deno.pid, fd)!);
}

Deno.test("UnwrittenFifos has none that somebody writes to, or that a writer has left", () => {
  const [reader, writer] = makePipe();
  using end = reader;
  const fifos = new UnwrittenFifos();
  {
    using _ = writer;
    fifos.look(1, 10, descriptor(end), end.fd);
    fifos.look(1, 11, descriptor(writer), writer.fd);
  }
  deepEqual(fifos.ids, []);
  // The writer is gone.
  fifos.look(2, 20, descriptor(end), end.fd);
  deepEqual([fifos.ids, fifos.mixed], [[], []]);
});

Deno.test("UnwrittenFifos tells of a fifo that only some have seen a writer leave", () => {
  const [waiting, writer] = makePipe();
  const [left, gone] = makePipe();
  using _waiting = waiting;
  using _writer = writer;
  using _left = left;
  gone[Symbol.dispose]();
  const fifos = new UnwrittenFifos();
  fifos.look(1, 10, descriptor(waiting), waiting.fd);
  deepEqual([fifos.ids, fifos.mixed], [[10], []]);
  fifos.look(1, 11, descriptor(left), left.fd);
  deepEqual([fifos.ids, fifos.mixed], [[], ["/a/fifo"]]);
});
