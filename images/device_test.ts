import { deepEqual } from "@std/assert";
import {
  decodeKernelDevice,
  decodeUserDevice,
  encodeKernelDevice,
  encodeUserDevice,
} from "./device.ts";

const NULL = { major: 1, minor: 3 };
const PTY = { major: 136, minor: 0x12345 };
const LARGEST = { major: 0xfff, minor: 0xfffff };

Deno.test("encodeKernelDevice() has the minor in the low 20 bits", () => {
  deepEqual([NULL, PTY, LARGEST].map(encodeKernelDevice), [0x100003, 0x8812345, 0xffffffff]);
});

Deno.test("encodeUserDevice() gives what stat(2) gives", () => {
  deepEqual([NULL, PTY, LARGEST].map(encodeUserDevice), [0x103, 0x12308845, 0xffffffff]);
  deepEqual(encodeUserDevice(NULL), Deno.statSync("/dev/null").rdev);
});

Deno.test("decodeKernelDevice() and decodeUserDevice() are the inverses", () => {
  for (const device of [NULL, PTY, LARGEST]) {
    deepEqual(decodeKernelDevice(encodeKernelDevice(device)), device);
    deepEqual(decodeUserDevice(encodeUserDevice(device)), device);
  }
});
