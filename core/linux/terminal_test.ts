import { deepEqual, equal } from "@std/assert";
import {
  CC_COUNT,
  decodeTermios,
  encodeTermios,
  encodeWindowSize,
  type Termios,
} from "./terminal.ts";

Deno.test("encodeTermios() is the kernel's struct termios2", () => {
  const termios: Termios = {
    iflag: 0x500,
    oflag: 5,
    cflag: 0xbf,
    lflag: 0x8a3b,
    line: 0,
    cc: Array.from({ length: CC_COUNT }, (_, at) => at + 1),
    ispeed: 38400,
    ospeed: 115200,
  };
  const bytes = encodeTermios(termios);
  equal(bytes.byteLength, 44);
  deepEqual([...bytes.subarray(16, 20)], [0, 1, 2, 3]);
  equal(bytes[35], CC_COUNT);
  deepEqual(decodeTermios(bytes), termios);
});

Deno.test("encodeWindowSize() is the kernel's struct winsize", () => {
  const bytes = encodeWindowSize({ rows: 24, columns: 80, width: 1, height: 65535 });
  deepEqual([...new Uint16Array(bytes.buffer)], [24, 80, 1, 65535]);
});
