import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { user_desc_tSchema } from "../../images/gen/registers_x86_pb.ts";
import { decodeUserDesc, emptyTls, encodeUserDesc, isEmptyTls, userDesc } from "./tls.ts";

Deno.test("decodeUserDesc() gives back every bit that encodeUserDesc() got", () => {
  for (let bits = 0; bits < 128; bits++) {
    const bytes = userDesc.make({ entryNumber: 13, baseAddr: 0xf7001000, limit: 0xfffff, bits });
    deepEqual(decodeUserDesc(create(user_desc_tSchema, encodeUserDesc(bytes))), bytes);
  }
});

Deno.test("emptyTls() is empty, as an entry that CRIU wrote for a 64-bit thread", () => {
  equal(isEmptyTls(create(user_desc_tSchema, emptyTls(12))), true);
  // CRIU leaves everything at the schema's defaults.
  equal(isEmptyTls(create(user_desc_tSchema, { entryNumber: 0 })), true);
  const used = userDesc.make({ entryNumber: 12, baseAddr: 1, bits: 1 });
  equal(isEmptyTls(create(user_desc_tSchema, encodeUserDesc(used))), false);
});
