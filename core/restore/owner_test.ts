import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { fd_types, type file_entry, file_entrySchema } from "../../images/gen/descriptors_pb.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { O } from "../linux/fcntl.ts";
import type { RestoredFiles } from "../plugin.ts";
import { formatCall } from "../remote/format_call.ts";
import { SyscallProgram } from "../remote/program.ts";
import { commonPart, planAsync, planOwner, planStatusFlags, reopenFlags } from "./owner.ts";

function planned(plan: (program: SyscallProgram) => void): string[] {
  const program = new SyscallProgram("test");
  plan(program);
  return program.calls.map((call) => formatCall(call));
}

Deno.test("planOwner() plans nothing for a file without an owner", () => {
  deepEqual(planned((program) => planOwner(program, 7, NO_OWNER)), []);
});

Deno.test("planOwner() sets a signal without an owner", () => {
  const calls = planned((program) => planOwner(program, 7, { ...NO_OWNER, signum: 39 }));
  deepEqual(calls, ["fcntl(7, F_SETSIG, 0x27)"]);
});

Deno.test("planOwner() takes the user ids of who set the owner, and gives them back", () => {
  const owner = { uid: 1000, euid: 1001, signum: 0, pidType: 1, pid: 55 };
  const calls = planned((program) => planOwner(program, 7, owner));
  equal(calls.length, 4);
  deepEqual(calls[0], "setresuid(1000, 1001, -1)");
  equal(/^fcntl\(7, F_SETOWN_EX, /.test(calls[1] as string), true);
  deepEqual(calls[2], "setresuid(0, 0, -1)");
  equal(/^prctl\(PR_SET_DUMPABLE, 0x1,/.test(calls[3] as string), true, calls[3]);
});

Deno.test("planStatusFlags() leaves alone what is right already, and what F_SETFL cannot change", () => {
  deepEqual(planned((program) => planStatusFlags(program, 3, O.RDWR | O.DSYNC)), []);
  deepEqual(planned((program) => planStatusFlags(program, 3, O.APPEND, O.APPEND)), []);
  equal(planned((program) => planStatusFlags(program, 3, 0, O.NONBLOCK)).length, 1);
});

Deno.test("planAsync() turns signals on with all other flags, and planStatusFlags() never does", () => {
  deepEqual(planned((program) => planStatusFlags(program, 3, O.ASYNC)), []);
  deepEqual(planned((program) => planAsync(program, 3, O.RDWR | O.NONBLOCK)), []);
  const [call] = planned((program) => planAsync(program, 3, O.RDWR | O.NONBLOCK | O.ASYNC));
  equal(call, "fcntl(3, F_SETFL, 0x2800)");
});

Deno.test("reopenFlags() keeps what describes a file and drops what made it", () => {
  const flags = O.RDWR | O.CREAT | O.EXCL | O.TRUNC | O.ASYNC | O.APPEND | O.DIRECTORY;
  equal(reopenFlags(flags), O.RDWR | O.APPEND | O.DIRECTORY);
});

Deno.test("commonPart() finds the owner of a fifo in the entry of its path", () => {
  const fown = { ...NO_OWNER, signum: 12 };
  const path = create(file_entrySchema, {
    id: 2,
    type: fd_types.REG,
    reg: { id: 2, flags: 0, pos: 0n, fown, name: "/fifo" },
  });
  const fifo = create(file_entrySchema, {
    id: 1,
    type: fd_types.FIFO,
    fifo: { id: 1, pipeId: 9, regfId: 2 },
  });
  const files = { get: (id: number): file_entry => id === 2 ? path : fifo } as RestoredFiles;
  equal(commonPart(fifo, files)?.fown?.signum, 12);
  equal(commonPart(path, files)?.fown?.signum, 12);
});
