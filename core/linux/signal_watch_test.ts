import assert from "@std/assert";
import { SignalWatch } from "./signal_watch.ts";
import { syscall } from "./libc_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const SIGUSR1 = { SIGUSR1: 10 } as const;

/** Sends it to this very thread, so that its handler has run when this returns. */
function raise(signal: number): void {
  syscall(SYSCALLS.tgkill, Deno.pid, syscall(SYSCALLS.gettid), signal);
}

/** What a promise gives; listeners to signals alone do not keep a program running. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  const timer = setTimeout(() => {}, 10_000);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

Deno.test("SignalWatch sees a signal without a turn of the event loop, and tells of it once", async () => {
  const told: number[] = [];
  using watch = new SignalWatch(SIGUSR1, (signal) => told.push(signal));
  watch.look();
  assert.deepEqual(told, []);
  raise(10);
  watch.look();
  assert.deepEqual(told, [10]);
  // Deno's own listener comes now.
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(told, [10]);
});

Deno.test("SignalWatch tells of a signal while nobody looks", async () => {
  const told = Promise.withResolvers<number>();
  using _ = new SignalWatch(SIGUSR1, told.resolve);
  raise(10);
  assert.equal(await soon(told.promise), 10);
});

Deno.test("SignalWatch leaves other listeners their signals, and knows nothing of earlier ones", async () => {
  const heard = Promise.withResolvers<void>();
  const listener = () => heard.resolve();
  Deno.addSignalListener("SIGUSR1", listener);
  try {
    raise(10);
    await soon(heard.promise);
    using watch = new SignalWatch(SIGUSR1, () => assert.fail("it was sent before"));
    watch.look();
  } finally {
    Deno.removeSignalListener("SIGUSR1", listener);
  }
});
