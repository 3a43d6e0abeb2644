import assert from "@std/assert";
import { type ResourceLimit, RLIM_INFINITY } from "../linux/procfs/mod.ts";
import { noRoom, type Room } from "./scratch_limits.ts";

const ROOM: Room = {
  size: 1n << 20n,
  data: 1n << 19n,
  mappings: 40,
  maxMappings: 65530,
  limits: [],
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
    "the kernel gives it no more memory",
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
