import assert from "@std/assert";
import { Errno, isErrno } from "../linux/errno.ts";
import { pwrite, syscall } from "../linux/libc_ffi.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { AliveWord } from "./alive_word.ts";

const PROT_READ = 1, PROT_WRITE = 2, MAP_SHARED = 1;

Deno.test("AliveWord can be read by whoever has its descriptor, and written to by nobody", () => {
  using word = new AliveWord();
  const map = (fd: number, prot: number) =>
    syscall(SYSCALLS.mmap, 0, 4096, prot, MAP_SHARED, fd, 0);
  const mapped = map(word.fd, PROT_READ);
  assert.ok(!isErrno(mapped));
  assert.equal(
    syscall(SYSCALLS.mprotect, mapped, 4096, PROT_READ | PROT_WRITE),
    -BigInt(Errno.EACCES),
  );
  syscall(SYSCALLS.munmap, mapped, 4096);
  // Opened anew as well.
  using file = Deno.openSync(`/proc/self/fd/${word.fd}`, { read: true, write: true });
  assert.throws(() => file.writeSync(new Uint8Array(4)));
  assert.throws(() => file.truncateSync(0));
  assert.ok(pwrite(word.fd, new Uint8Array(4), 0n) < 0);
  assert.equal(map(word.fd, PROT_READ | PROT_WRITE), -BigInt(Errno.EPERM));
});
