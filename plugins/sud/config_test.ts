import assert from "@std/assert";
import { decodeConfig, describeConfig, sudConfig } from "./config.ts";

Deno.test("decodeConfig() leaves an exclusive range as it is", () => {
  const config = { mode: 1n, selector: 0x7000n, offset: 0x400000n, len: 0x1000n };
  assert.deepEqual(decodeConfig(config), config);
  const empty = { mode: 1n, selector: 0x7000n, offset: 0n, len: 0n };
  assert.deepEqual(decodeConfig(empty), empty);
});

Deno.test("decodeConfig() finds the inclusive range behind one that wraps around", () => {
  // Armed with mode 2, offset 0x10000, len 0x1000; Linux 6.18 hands this out.
  assert.deepEqual(
    decodeConfig({ mode: 1n, selector: 8n, offset: 0x11000n, len: 0xfffffffffffff000n }),
    { mode: 2n, selector: 8n, offset: 0x10000n, len: 0x1000n },
  );
});

Deno.test("decodeConfig() keeps an exclusive range that reaches exactly to the top", () => {
  const config = { mode: 1n, selector: 0n, offset: 0xffff000000000000n, len: 0xfffffffffffen };
  assert.deepEqual(decodeConfig(config), config);
});

Deno.test("sudConfig has the layout of struct ptrace_sud_config", () => {
  const bytes = sudConfig.make({ mode: 1n, selector: 2n, offset: 3n, len: 4n });
  assert.deepEqual([...new BigUint64Array(bytes.buffer)], [1n, 2n, 3n, 4n]);
});

Deno.test("describeConfig() names mode, selector and range", () => {
  assert.equal(
    describeConfig({ mode: 2n, selector: 0n, offset: 0x1000n, len: 0x1000n }),
    "inclusive, no selector, range 0x1000-0x2000",
  );
});
