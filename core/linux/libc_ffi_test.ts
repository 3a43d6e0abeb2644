import assert from "@std/assert";
import { Errno } from "./errno.ts";
import { outcome, syscall } from "./libc_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** A call that fails with an errno, by a real one: errno itself cannot be set from here. */
function failWith(errno: number): void {
  if (errno === Errno.EBADF) assert.equal(syscall(SYSCALLS.close, -1), -BigInt(errno));
  // futex(FUTEX_WAIT) of a word that has another value.
  else assert.equal(syscall(SYSCALLS.futex, new Uint8Array(4), 0, 1, null), -BigInt(errno));
}

Deno.test("outcome() makes a call once more where errno may be another's EAGAIN", () => {
  const { EAGAIN } = Errno;
  const errnos = (...list: number[]) => {
    let calls = 0;
    const result = outcome(() => {
      const errno = list[calls++];
      if (errno === undefined) return 7;
      failWith(errno);
      return -1n;
    });
    return [calls, result];
  };
  assert.deepEqual(errnos(), [1, 7n]);
  assert.deepEqual(errnos(Errno.EBADF), [1, -9n]);
  assert.deepEqual(errnos(EAGAIN, Errno.EBADF), [2, -9n]);
  assert.deepEqual(errnos(EAGAIN), [2, 7n]);
  assert.deepEqual(errnos(EAGAIN, EAGAIN), [2, -11n]);
});
