import { deepEqual } from "@std/assert";
import { decodeUserDevice, encodeKernelDevice } from "./device.ts";

const NULL = { major: 1, minor: 3 };
const PTY = { major: 136, minor: 0x12345 };
const LARGEST = { major: 0xfff, minor: 0xfffff };

Deno.test("encodeKernelDevice() has the minor in the low 20 bits", () => {
  deepEqual([NULL, PTY, LARGEST].map(encodeKernelDevice), [0x100003, 0x8812345, 0xffffffff]);
});

Deno.test("decodeUserDevice() reads what stat(2) gives", () => {
  deepEqual([0x103, 0x12308845, 0xffffffff].map(decodeUserDevice), [NULL, PTY, LARGEST]);
  deepEqual(decodeUserDevice(Deno.statSync("/dev/null").rdev!), NULL);
});
