import { throws } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { create } from "@bufbuild/protobuf";
import { packet_sock_entrySchema } from "../../images/gen/packet_pb.ts";
import { checkPacket } from "./restore.ts";

Deno.test("checkPacket() refuses what no checkpoint writes", () => {
  const images = { path: "images" };
  const entry = create(packet_sock_entrySchema, { id: 7, type: 3 });
  checkPacket(entry, { more: [] }, images);
  const refused = (change: Partial<typeof entry>, names: readonly number[] = []) =>
    throws(
      () =>
        checkPacket(
          { ...entry, ...change },
          { more: names.map((name) => ({ name, value: 1 })) } as Parameters<typeof checkPacket>[1],
          images,
        ),
      (error: unknown) => error instanceof StasisError && error.code === "bad-image",
    );
  refused({ type: 5 });
  refused({}, [1]);
});
