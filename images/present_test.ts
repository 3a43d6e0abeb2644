import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { equal } from "@std/assert";
import { fs_entrySchema } from "./gen/paths_pb.ts";
import { present } from "./present.ts";

Deno.test("present() tells a field that is not in the image from one that is 0", () => {
  const read = (umask?: number) => {
    const message = create(fs_entrySchema, { cwdId: 1, rootId: 2, umask });
    return fromBinary(fs_entrySchema, toBinary(fs_entrySchema, message));
  };
  equal(read().umask, 0);
  equal(present(read(), "umask"), undefined);
  equal(present(read(0), "umask"), 0);
  equal(present(read(0o22), "umask"), 0o22);
  equal(present(undefined as ReturnType<typeof read> | undefined, "umask"), undefined);
});
