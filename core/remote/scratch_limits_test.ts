import assert from "@std/assert";
import { remoteAddress } from "../linux/address.ts";
import { type ResourceLimit, RLIM_INFINITY } from "../linux/procfs/mod.ts";
import { largestHole, noRoom, type Room } from "./scratch_limits.ts";

const ROOM: Room = {
  size: 1n << 20n,
  data: 1n << 19n,
  mappings: 40,
  maxMappings: 65530,
  limits: [],
  hole: 1n << 40n,
};
const limited = (name: ResourceLimit["name"], soft: bigint): readonly ResourceLimit[] => [
  { name, resource: 0, soft, hard: RLIM_INFINITY },
];

Deno.test("noRoom() names the limit that is reached", () => {
  const why = (room: Partial<Room>, errno = "ENOMEM") =>
    noRoom(7, 65536n, errno, { ...ROOM, ...room }).message.split(": ").at(-1);
  assert.equal(
    why({ limits: limited("RLIMIT_AS", (1n << 20n) + 65535n) }),
    "its address space of 1024 KiB is at its limit (RLIMIT_AS, 1087 KiB)",
  );
  assert.equal(
    why({ limits: limited("RLIMIT_AS", (1n << 20n) + 65536n) }),
    "the kernel gives it no more memory (ENOMEM)",
  );
  assert.equal(
    why({ mappings: 65529 }),
    "it has 65529 of the 65530 mappings that a process may have (vm.max_map_count)",
  );
  assert.equal(
    why({ limits: limited("RLIMIT_DATA", 1n << 19n) }),
    "its data of 512 KiB is at its limit (RLIMIT_DATA, 512 KiB)",
  );
  assert.match(why({}, "EAGAIN")!, /RLIMIT_MEMLOCK/);
});

Deno.test("noRoom() says so where no limit is reached, but no address is free", () => {
  const { message, hint } = noRoom(7, 65536n, "ENOMEM", { ...ROOM, hole: 65535n });
  assert.match(message, /its address space has no hole of that size$/);
  assert.doesNotMatch(hint ?? "", /limit/);
});

Deno.test("largestHole() finds the widest range that may be mapped", () => {
  const end = 0x7ffffffff000n;
  const hole = (...ranges: [bigint, bigint, string?][]) =>
    largestHole(ranges.map(([start, end, name = ""]) => ({
      start: remoteAddress(start),
      end: remoteAddress(end),
      name,
      deleted: false,
    })));
  assert.equal(hole(), end - 0x10000n);
  assert.equal(hole([0x10000n, 0x20000n], [0x90000n, end]), 0x70000n);
  assert.equal(hole([0x20000n, end - 1n]), 0x10000n);
  // Below a stack there is a gap.
  assert.equal(hole([0x10000n, 0x100000n], [0x300000n, end, "[stack]"]), 0x100000n);
  assert.equal(hole([0x10000n, end - 0x100000n], [end - 0x1000n, end, "[stack]"]), 0n);
});
