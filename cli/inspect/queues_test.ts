import { deepEqual } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { fd_types, file_entrySchema } from "../../images/gen/descriptors_pb.ts";
import { SK_QUEUES } from "../../images/kinds/files.ts";
import { INET_EXTRA, TCP_STREAM } from "../../images/kinds/inet.ts";
import { ImageDirectory, ImageWriter } from "../../images/mod.ts";
import { describeQueues } from "./queues.ts";

Deno.test("describeQueues() tells what waits in sockets of every kind, and what is on its way", async () => {
  const parent = await Deno.makeTempDir({ prefix: "stasis-queues-" });
  try {
    const directory = `${parent}/images`;
    {
      await using writer = ImageWriter.create(directory);
      for (const length of [3, 4]) {
        writer.append(SK_QUEUES, null, { idFor: 1, length }, new Uint8Array(length));
      }
      const data = new Uint8Array(5), from = new Uint8Array(16);
      writer.append(INET_EXTRA, null, { id: 2, queue: [{ data, from }] });
      const stream = { inqLen: 2, inqSeq: 1, outqLen: 3, outqSeq: 1, optMask: 0, sndWscale: 0 };
      writer.write(TCP_STREAM, 77, { ...stream, mssClamp: 1 }, new Uint8Array(5));
      await writer.commit({
        imgVersion: 1,
        rootIds: { vmId: 0, filesId: 0, fsId: 0, sighandId: 0 },
      });
    }
    const file = create(file_entrySchema, {
      type: fd_types.INETSK,
      id: 3,
      isk: { id: 3, ino: 77 },
    });
    const found = describeQueues(ImageDirectory.open(directory), new Map([[3, file]]));
    deepEqual([...found], [
      [1, "7 B in 2 messages waits"],
      [2, "5 B in 1 message waits"],
      [3, "2 B waits, 3 B on its way"],
    ]);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});
