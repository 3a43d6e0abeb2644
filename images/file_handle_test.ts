import { create } from "@bufbuild/protobuf";
import { deepEqual, equal, throws } from "@std/assert";
import { encodeHandle, handleOf } from "./file_handle.ts";
import { fh_entrySchema } from "./gen/watches_pb.ts";

Deno.test("handleOf() reads what encodeHandle() writes, and refuses what is too long", () => {
  const handle = { type: 1, bytes: new Uint8Array([0xe8, 0xf7, 3, 0, 0, 0, 0, 0, 9, 8, 7, 6]) };
  deepEqual(handleOf(create(fh_entrySchema, encodeHandle(handle, "/a")), "x"), handle);
  const none = create(fh_entrySchema, encodeHandle(undefined, "/a"));
  equal(handleOf(none, "x"), undefined);
  for (const bytes of [129, 1000]) {
    throws(() => handleOf({ ...none, bytes }, "x.img"), /x\.img has a file handle of/);
  }
  throws(() => handleOf({ ...none, bytes: 9, handle: [1n] }, "x.img"), /9 bytes in 1 words/);
});
