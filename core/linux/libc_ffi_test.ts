import assert from "@std/assert";
import { Errno } from "./errno.ts";
import { outcome, pollInBackground, sleep, syscall } from "./libc_ffi.ts";
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

Deno.test("sleep() lets timers and signals have their turn, each time", async () => {
  let turns = 0;
  for (let round = 0; round < 20; round++) {
    const seen: string[] = [];
    const onSignal = () => seen.push("signal");
    Deno.addSignalListener("SIGUSR2", onSignal);
    const timer = setTimeout(() => seen.push("timer"), 1);
    try {
      Deno.kill(Deno.pid, "SIGUSR2");
      const end = performance.now() + 10_000;
      while (seen.length < 2 && performance.now() < end) {
        const busy = performance.now() + 2;
        while (performance.now() < busy);
        await sleep(1);
        turns++;
      }
      assert.deepEqual(seen.sort(), ["signal", "timer"]);
    } finally {
      clearTimeout(timer);
      Deno.removeSignalListener("SIGUSR2", onSignal);
    }
  }
  // Where the loop does not come to rest it looks at them every 61st time.
  assert.ok(turns < 300, `they have waited for ${turns} turns`);
});

Deno.test("sleep() waits for none of the threads that others take for long", async () => {
  const pipes = Array.from({ length: 40 }, () => {
    const ends = new Int32Array(2);
    assert.equal(syscall(SYSCALLS.pipe2, new Uint8Array(ends.buffer), 0), 0n);
    return ends;
  });
  const polls = pipes.map(([end]) => pollInBackground(end!));
  const end = () => pipes.forEach(([, end]) => syscall(SYSCALLS.write, end!, new Uint8Array(1), 1));
  const late = setTimeout(end, 3_000);
  const begin = performance.now();
  await sleep(1);
  const took = performance.now() - begin;
  clearTimeout(late);
  end();
  await Promise.all(polls);
  for (const end of pipes.flatMap((ends) => [...ends])) syscall(SYSCALLS.close, end);
  assert.ok(took < 2_000, `${took} ms`);
});
