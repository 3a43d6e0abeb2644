import assert from "@std/assert";
import { Errno } from "./errno.ts";
import { Interruptions } from "./interruptions.ts";
import { syscall, wait4 } from "./libc_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const WALL = 0x40000000;

/** A child of this process that does nothing for a while. */
function sleeper(): { readonly pid: number; end(): Promise<void> } {
  const child = new Deno.Command("sleep", { args: ["10"] }).spawn();
  const end = async () => {
    child.kill("SIGKILL");
    await child.status;
  };
  return { pid: child.pid, end };
}

Deno.test("Interruptions make a wait4 that waits return EINTR, again and again", async () => {
  const { pid, end } = sleeper();
  try {
    using _ = new Interruptions();
    for (let round = 0; round < 3; round++) {
      assert.equal(wait4(pid, WALL).pid, -Errno.EINTR);
    }
  } finally {
    await end();
  }
});

Deno.test("Interruptions last until the last of them has ended", async () => {
  const { pid, end } = sleeper();
  try {
    using _last = new Interruptions();
    {
      using first = new Interruptions();
      first[Symbol.dispose]();
    }
    assert.equal(wait4(pid, WALL).pid, -Errno.EINTR);
  } finally {
    await end();
  }
});

Deno.test("Interruptions leave what Deno waits for alone", () => {
  using _ = new Interruptions();
  const slow = new Deno.Command("sh", { args: ["-c", "sleep 0.1; echo done"] });
  assert.equal(new TextDecoder().decode(slow.outputSync().stdout), "done\n");
  const begin = performance.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
  assert.ok(performance.now() - begin >= 60);
});

Deno.test("Interruptions end with the last of them", () => {
  {
    using _ = new Interruptions();
  }
  // nanosleep(2) would return EINTR after any signal that has a handler.
  const request = new BigInt64Array([0n, 60_000_000n]);
  assert.equal(syscall(SYSCALLS.nanosleep, new Uint8Array(request.buffer), 0), 0n);
});

Deno.test("Interruptions of many isolates of one process share a signal", async () => {
  const source = `
    import { Interruptions } from ${JSON.stringify(import.meta.resolve("./interruptions.ts"))};
    try {
      new Interruptions()[Symbol.dispose]();
      postMessage("done");
    } catch (error) {
      postMessage(error.message);
    }
  `;
  const url = `data:text/javascript,${encodeURIComponent(source)}`;
  for (let count = 0; count < 12; count++) {
    const worker = new Worker(url, { type: "module" });
    const told = await new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
    });
    worker.terminate();
    assert.equal(told, "done");
  }
});
