import { create } from "@bufbuild/protobuf";
import { deepEqual, equal, throws } from "@std/assert";
import { fanotify_mark_entrySchema, mark_type } from "../../images/gen/watches_pb.ts";
import { asksPermission, encodeMark, markCalls, markedFile } from "./mark.ts";

const DEV = { major: 254, minor: 1 };
const HANDLE = { type: 1, bytes: new Uint8Array([1, 2, 3, 4]) };

const image = (mark: Parameters<typeof encodeMark>[0], path = "/a") =>
  create(fanotify_mark_entrySchema, encodeMark(mark, 5, path));

Deno.test("encodeMark() has what markedFile() reads", () => {
  const mark = image({ ino: 7n, dev: DEV, markFlags: 0, mask: 8, ignoredMask: 0, handle: HANDLE });
  equal(mark.type, mark_type.INODE);
  deepEqual(markedFile(mark, "x"), { path: "/a", file: { inode: 7n, dev: DEV }, handle: HANDLE });
});

Deno.test("encodeMark() tells mounts from file systems", () => {
  const mount = image({ mountId: 3, markFlags: 0, mask: 8, ignoredMask: 0 });
  const whole = image({ dev: DEV, markFlags: 0, mask: 8, ignoredMask: 0 });
  equal(mount.type, mark_type.MOUNT);
  equal(whole.type, mark_type.FILESYSTEM);
  equal(markedFile(mount, "x"), undefined);
  deepEqual(markCalls(mount), [{ flags: 0x11, mask: 8 }]);
  deepEqual(markCalls(whole), [{ flags: 0x101, mask: 8 }]);
});

Deno.test("markCalls() says of events that are ignored how, in the older and the newer way", () => {
  const on = { ino: 7n, dev: DEV, handle: HANDLE };
  deepEqual(markCalls(image({ ...on, markFlags: 0x40, mask: 8, ignoredMask: 2 })), [
    { flags: 0x1, mask: 8 },
    { flags: 0x61, mask: 2 },
  ]);
  deepEqual(markCalls(image({ ...on, markFlags: 0x440, mask: 0, ignoredMask: 2 })), [
    { flags: 0x441, mask: 2 },
  ]);
});

Deno.test("markedFile() refuses marks on nothing", () => {
  const mark = image({ ino: 7n, dev: DEV, markFlags: 0, mask: 8, ignoredMask: 0 });
  throws(() => markedFile({ ...mark, ie: undefined }, "x.img"), /x\.img has in file 5 a mark/);
  throws(() => markedFile(image({ mountId: 3, markFlags: 0, mask: 8, ignoredMask: 0 }, ""), "x"));
  throws(() => markedFile(image({ mountId: 3, markFlags: 0, mask: 8, ignoredMask: 0 }, "a"), "x"));
});

Deno.test("asksPermission() tells marks that others wait for", () => {
  equal(asksPermission({ mask: 0x10008 }), true);
  equal(asksPermission({ mask: 0x40000008 }), false);
});
