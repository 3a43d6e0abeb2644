import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { O } from "../../core/linux/fcntl.ts";
import { formatCall } from "../../core/remote/format_call.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { pipe_entrySchema } from "../../images/gen/pipes_pb.ts";
import { type Contents, planPipe } from "./pipe.ts";

const end = (id: number, flags: number) =>
  create(pipe_entrySchema, { id, pipeId: 9, flags, fown: NO_OWNER });

function plan(ends: readonly ReturnType<typeof end>[], contents: Contents) {
  const program = new SyscallProgram("test");
  const made = planPipe(program, ends, contents, 500);
  const names = program.calls.map(({ name }) => name);
  return { made, names, lines: program.calls.map((call) => formatCall(call)) };
}

Deno.test("planPipe() makes both ends with one call and lets both block again", () => {
  const { made, names } = plan([end(1, O.RDONLY), end(2, O.WRONLY)], { chunks: [] });
  deepEqual(names, ["pipe2", "fcntl", "fcntl"]);
  deepEqual([...made.keys()], [1, 2]);
});

Deno.test("planPipe() closes an end that nobody has, after the contents are in", () => {
  const contents = { size: 4096, chunks: [new Uint8Array(3)] };
  const { names } = plan([end(1, O.RDONLY | O.NONBLOCK)], contents);
  deepEqual(names, ["pipe2", "fcntl", "write", "close"]);
});

Deno.test("planPipe() opens an end that had been opened through /proc again", () => {
  const reopened = O.WRONLY | O.LARGEFILE;
  const { made, names, lines } = plan([end(1, reopened), end(2, O.RDWR | O.LARGEFILE)], {
    chunks: [],
  });
  deepEqual(names, ["pipe2", "dup3", "openat", "openat", "close", "close", "close"]);
  equal(lines.filter((line) => line.includes('"/proc/self/fd/500"')).length, 2);
  equal(made.size, 2);
});

Deno.test("planPipe() writes packets one by one in packet mode, and leaves it as it was", () => {
  const chunks = [new Uint8Array(3), new Uint8Array(4)];
  const { lines } = plan([end(1, O.RDONLY), end(2, O.WRONLY)], { chunks });
  equal(lines.filter((line) => line.startsWith("write(")).length, 2);
  const flags = lines.filter((line) => line.includes("F_SETFL"));
  equal(flags[0]?.includes("0x4800"), true, flags[0]); // O_NONBLOCK, O_DIRECT
  equal(flags.length, 3);
});

Deno.test("planPipe() writes a stream as a stream, also of more than a packet in packet mode", () => {
  for (const flags of [O.WRONLY, O.WRONLY | O.DIRECT]) {
    const { lines } = plan([end(2, flags), end(1, O.RDONLY)], { chunks: [new Uint8Array(5000)] });
    const before = lines.slice(0, lines.findIndex((line) => line.startsWith("write(")));
    equal(before.some((line) => line.includes("F_SETFL")), false);
  }
});
