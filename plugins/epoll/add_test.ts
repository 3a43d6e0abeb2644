import { create } from "@bufbuild/protobuf";
import { deepEqual } from "@std/assert";
import { formatCall } from "../../core/remote/format_call.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { eventpoll_tfd_entrySchema } from "../../images/gen/event_files_pb.ts";
import { planTarget } from "./add.ts";

/** The calls that add file 9 as this number, in a task that has these descriptors. */
function calls(number: number, descriptors: Record<number, number>): string[] {
  const program = new SyscallProgram("test");
  const target = create(eventpoll_tfd_entrySchema, { id: 1, tfd: 9, events: 1, data: 2n });
  const table = Object.entries(descriptors).map(([fd, flags]) => [Number(fd), { flags }] as const);
  planTarget(program, 70, target, number, new Map(table));
  return program.calls.map((call) => formatCall(call).replace(/\{.*\}/, "{}"));
}

Deno.test("planTarget() adds a file under its number", () => {
  deepEqual(calls(9, { 9: 0 }), ["epoll_ctl(70, EPOLL_CTL_ADD, 9, {})"]);
});

Deno.test("planTarget() opens a number that is closed for a moment", () => {
  deepEqual(calls(5, { 9: 0 }), [
    "dup3(9, 5, 0)",
    "epoll_ctl(70, EPOLL_CTL_ADD, 5, {})",
    "close(5)",
  ]);
});

Deno.test("planTarget() gives a number that is another file's back to that", () => {
  deepEqual(calls(5, { 5: 1, 9: 0 }), [
    "dup(5)",
    "dup3(9, 5, 0)",
    "epoll_ctl(70, EPOLL_CTL_ADD, 5, {})",
    "dup3($0, 5, O_CLOEXEC)",
    "close($0)",
  ]);
});
