import { deepEqual, match, throws } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { create } from "@bufbuild/protobuf";
import { packet_sock_entrySchema } from "../../images/gen/packet_pb.ts";
import { formatCall } from "../../core/remote/format_call.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { checkPacket, planPacket, takenGroups } from "./restore.ts";

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

Deno.test("takenGroups() finds who else is in a group of the same number", () => {
  const inGroup = create(packet_sock_entrySchema, { fanout: 7 | 2 << 16 });
  const inNone = create(packet_sock_entrySchema, {});
  const live = [{ ino: 1, fanout: 8 }, { ino: 2, fanout: 7 | 1 << 16 }, { ino: 3 }];
  deepEqual(takenGroups([inGroup, inNone], live), [{ group: 7, ino: 2 }]);
  deepEqual(takenGroups([inNone], live), []);
});

Deno.test("planPacket() clears the error that binding to an interface that is down leaves", () => {
  const program = new SyscallProgram("test");
  const entry = create(packet_sock_entrySchema, { type: 3, protocol: 0x888b, ifindex: 1 });
  const limits = { force: true, send: 1, receive: 1 };
  planPacket(program, entry, undefined, limits, "lo");
  const calls = program.calls.map((call) => formatCall(call));
  const bound = calls.findIndex((call) => call.startsWith("bind("));
  match(calls[bound + 1] ?? "", /^getsockopt\(\$0, 1, 4, \[errors\]/);
});
