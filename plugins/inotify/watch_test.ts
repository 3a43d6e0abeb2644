import { create } from "@bufbuild/protobuf";
import { deepEqual, equal, match, throws } from "@std/assert";
import { NO_OWNER } from "../../images/fown.ts";
import {
  type fh_entry,
  inotify_file_entrySchema,
  inotify_wd_entrySchema,
} from "../../images/gen/watches_pb.ts";
import { handleOf } from "../../images/file_handle.ts";
import { encodeWatch, fileOf, validateWatches } from "./watch.ts";

const WATCH = { wd: 3, ino: 0x3f7e8n, dev: { major: 254, minor: 1 }, mask: 0x100 };
const HANDLE = { type: 1, bytes: new Uint8Array([0xe8, 0xf7, 3, 0, 0, 0, 0, 0, 9, 8, 7, 6]) };

Deno.test("encodeWatch() has what fileOf() and handleOf() read", () => {
  const image = create(
    inotify_wd_entrySchema,
    encodeWatch({ ...WATCH, handle: HANDLE }, 5, "/a") as object,
  );
  deepEqual(fileOf(image), { inode: WATCH.ino, dev: WATCH.dev });
  const { fHandle } = image as { fHandle: fh_entry };
  equal(fHandle.handle.length, 16);
  equal(fHandle.handle[0], 0x3f7e8n);
  deepEqual(handleOf(fHandle, "x"), HANDLE);
});

Deno.test("validateWatches() refuses numbers and paths that there cannot be", () => {
  const check = (...watches: { wd?: number; path?: string }[]) =>
    validateWatches([
      create(inotify_file_entrySchema, {
        id: 5,
        flags: 0,
        fown: NO_OWNER,
        wd: watches.map(({ wd = 1, path = "/a" }) => encodeWatch({ ...WATCH, wd }, 5, path)),
      }),
    ], "x.img");
  check({ wd: 1 }, { wd: 2 ** 31 - 1 });
  check({ path: "" });
  for (
    const [watches, says] of [
      [[{ wd: 0 }], /a number that there is not/],
      [[{ wd: 2 ** 31 }], /a number that there is not/],
      [[{ wd: 7 }, { wd: 7 }], /that is there twice/],
      [[{ path: "a" }], /no full one/],
    ] as const
  ) {
    throws(() => check(...watches), (error: Error) => {
      match(error.message, says);
      return true;
    });
  }
});
