import { equal } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { STATE } from "../../core/linux/net/unix_diag.ts";
import { fd_types, file_entrySchema } from "../../images/gen/descriptors_pb.ts";
import { sampleSocket } from "../../plugins/unix/sample_sockets.ts";
import { describeFile } from "./file.ts";

function describe(...args: Parameters<typeof sampleSocket>): string {
  const { entry } = sampleSocket(...args);
  const file = create(file_entrySchema, { type: fd_types.UNIXSK, id: entry.id, usk: entry });
  const { kind, what } = describeFile(fd_types.UNIXSK, file);
  equal(kind, "unix socket");
  return what;
}

Deno.test("describeFile() shows what a unix socket is connected to", () => {
  const name = new TextEncoder().encode("\0app");
  equal(describe(1, { peer: 2 }), "socket:[1] stream  to socket:[2]");
  equal(
    describe(1, { shutdown: 3 }),
    "socket:[1] stream  its peer is closed  both directions shut down",
  );
  equal(describe(1, { type: 2, state: STATE.CLOSE }), "socket:[1] dgram  not connected");
  equal(describe(1, { type: 5, state: STATE.LISTEN, name }), "socket:[1] seqpacket  @app  listens");
});
