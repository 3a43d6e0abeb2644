import { deepEqual, throws } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { checkNetlink, takenAddresses } from "./restore.ts";

Deno.test("takenAddresses() compares addresses within a protocol, and none where there is none", () => {
  const live = [{ ino: 9, protocol: 0, portid: 4711, isListing: false }, {
    ino: 10,
    protocol: 2,
    portid: 0,
    isListing: false,
  }];
  const sockets = [
    { protocol: 0, portid: 4711 },
    { protocol: 15, portid: 4711 },
    { protocol: 2, portid: 0 },
  ];
  deepEqual(takenAddresses(sockets, live), [[sockets[0], live[0]]]);
});

Deno.test("checkNetlink() refuses what no checkpoint writes", () => {
  const socket = { ino: 7, protocol: 15, dstGroup: 32, groups: [1] };
  checkNetlink(socket, { type: 2, more: [] }, "images");
  for (
    const [entry, extra] of [
      [{ ...socket, protocol: 32 }, undefined],
      [{ ...socket, dstGroup: 33 }, undefined],
      [{ ...socket, groups: Array.from({ length: 1025 }, () => 0) }, undefined],
      [socket, { type: 5, more: [] }],
      [socket, { type: 3, more: [{ name: 1, value: 1 }] }],
    ] as const
  ) {
    throws(
      () => checkNetlink(entry, extra as Parameters<typeof checkNetlink>[1], "images"),
      (error: unknown) => error instanceof StasisError && error.code === "bad-image",
    );
  }
});
