import { deepEqual, equal } from "@std/assert";
import { cmsghdr, parseControl, receivedDescriptors, SCM, ucred } from "./control_message.ts";

const SOL_SOCKET = 1;

function message(type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(cmsghdr.size + (data.byteLength + 7 & ~7));
  cmsghdr.write(bytes, { len: BigInt(cmsghdr.size + data.byteLength), level: SOL_SOCKET, type });
  bytes.set(data, cmsghdr.size);
  return bytes;
}

const RIGHTS = message(SCM.RIGHTS, Uint8Array.of(7, 0, 0, 0, 9, 1, 0, 0, 8, 0, 0, 0));
const CREDENTIALS = message(SCM.CREDENTIALS, ucred.make({ pid: 5, uid: 6, gid: 7 }));

Deno.test("parseControl() takes messages apart", () => {
  const [first, second, ...more] = parseControl(Uint8Array.of(...CREDENTIALS, ...RIGHTS));
  deepEqual([first?.level, first?.type], [SOL_SOCKET, SCM.CREDENTIALS]);
  deepEqual(ucred.read(first?.data ?? new Uint8Array(0)), { pid: 5, uid: 6, gid: 7 });
  equal(second?.type, SCM.RIGHTS);
  equal(more.length, 0);
});

Deno.test("parseControl() ends where the bytes do", () => {
  deepEqual(parseControl(new Uint8Array(0)), []);
  deepEqual(parseControl(new Uint8Array(40)), []);
  const [cut] = parseControl(RIGHTS.subarray(0, 22));
  equal(cut?.data.byteLength, 6);
});

Deno.test("receivedDescriptors() finds all that are to be closed", () => {
  const pidfd = message(SCM.PIDFD, Uint8Array.of(3, 0, 0, 0));
  const all = parseControl(Uint8Array.of(...RIGHTS, ...CREDENTIALS, ...pidfd));
  deepEqual(receivedDescriptors(all), [7, 265, 8, 3]);
});
