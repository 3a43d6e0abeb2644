import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { O } from "../../core/linux/fcntl.ts";
import { formatCall } from "../../core/remote/format_call.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { file_lock_entrySchema } from "../../images/gen/file_locks_pb.ts";
import { planLease, planLock } from "./plan.ts";

const entry = (flag: number, type: number, start = 0n, len = 0n) =>
  create(file_lock_entrySchema, { flag, type, pid: 7, fd: 3, start, len });
const FILE = { name: "/f", holder: () => "task 9 (cat)" };

const lines = ({ calls }: SyscallProgram) => calls.map((call) => formatCall(call));

Deno.test("planLock() takes each kind without waiting", () => {
  const program = new SyscallProgram("test");
  planLock(program, entry(2, 0), FILE);
  planLock(program, entry(2, 1), FILE);
  planLock(program, entry(1, 1, 5n, 10n), FILE);
  planLock(program, entry(4, 0), FILE);
  deepEqual(lines(program), [
    "flock(3, LOCK_SH|LOCK_NB)",
    "flock(3, LOCK_EX|LOCK_NB)",
    "fcntl(3, F_SETLK, {write lock (F_SETLK) on bytes 5 to 14})",
    "fcntl(3, F_OFD_SETLK, {read lock (F_OFD_SETLK)})",
  ]);
});

Deno.test("planLock() says who has a lock that cannot be had, and nothing of other errors", () => {
  const program = new SyscallProgram("test");
  planLock(program, entry(2, 1), FILE);
  const explain = program.calls[0]?.explain;
  equal(explain?.("EBADF"), undefined);
  const error = explain?.("EAGAIN");
  equal(error?.code, "conflict");
  equal(
    error?.message,
    "task 7 cannot have its write lock (flock) on /f again: task 9 (cat) has one that excludes it",
  );
});

function lease(type: number, flags: number, fown = { ...NO_OWNER, pidType: 1, pid: 7 }): string[] {
  const program = new SyscallProgram("test");
  planLease(program, entry(8, type), FILE, { proc: () => 90, flags, fown });
  return lines(program);
}

Deno.test("planLease() takes a lease, and gives nobody's back to nobody", () => {
  deepEqual(lease(1, O.RDWR), ["fcntl(3, F_SETLEASE, 0x1)"]);
  deepEqual(lease(0, O.RDONLY, { ...NO_OWNER, pidType: 0, pid: 0 }), [
    "fcntl(3, F_SETLEASE, 0)",
    "fcntl(3, F_SETOWN, 0)",
  ]);
});

Deno.test("planLease() has a lease taken back that was being taken back, and nobody told", () => {
  const rest = (whole: string, how: string, left: string) =>
    [
      `fcntl(3, F_SETLEASE, ${whole})`,
      "fcntl(3, F_SETOWN, 0)",
      `openat(90, "self/fd/3", ${how}|O_NONBLOCK|O_CLOEXEC, 00)`,
      "fcntl(3, F_GETLEASE, 0)",
      "fcntl(3, F_SETOWN_EX, {owner 7})",
    ].map((line) => line.replace("O_RDONLY|", left));
  deepEqual(lease(6, O.RDWR), rest("0x1", "O_WRONLY", ""));
  deepEqual(lease(6, O.RDONLY), rest("0", "O_WRONLY", ""));
  deepEqual(lease(4, O.RDONLY), rest("0x1", "O_RDONLY", ""));
});
