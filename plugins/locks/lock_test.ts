import { deepEqual, equal, match, throws } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { parseLock } from "../../core/linux/procfs/mod.ts";
import { file_lock_entrySchema } from "../../images/gen/file_locks_pb.ts";
import { BREAKING, describeLock, encodeLock, TYPE, validateLocks, wholeLease } from "./lock.ts";

/** Lines of Linux 6.18, and what becomes of them. */
const LINES: readonly [
  line: string,
  facts: readonly [number, number, bigint, bigint],
  words: string,
][] = [
  ["1: FLOCK  ADVISORY  WRITE 77 fe:00:9 0 EOF", [2, 1, 0n, 0n], "write lock (flock)"],
  [
    "2: POSIX  ADVISORY  READ 77 fe:00:9 5 14",
    [1, 0, 5n, 10n],
    "read lock (F_SETLK) on bytes 5 to 14",
  ],
  ["3: POSIX  ADVISORY  WRITE 77 fe:00:9 0 EOF", [1, 1, 0n, 0n], "write lock (F_SETLK)"],
  [
    "4: OFDLCK ADVISORY  WRITE -1 fe:00:9 9 EOF",
    [4, 1, 9n, 0n],
    "write lock (F_OFD_SETLK) on bytes 9 to the end",
  ],
  ["5: LEASE  ACTIVE    READ 77 fe:00:9 0 EOF", [8, 0, 0n, 0n], "read lease (F_SETLEASE)"],
  [
    "6: LEASE  BREAKING  UNLCK 77 fe:00:9 0 EOF",
    [8, 6, 0n, 0n],
    "lease (F_SETLEASE) of which nothing is to remain",
  ],
  [
    "7: LEASE  BREAKING  READ 77 fe:00:9 0 EOF",
    [8, 4, 0n, 0n],
    "lease (F_SETLEASE) of which a read lease is to remain",
  ],
];

Deno.test("encodeLock() makes of each kind what CRIU has, and describeLock() says it in words", () => {
  for (const [line, [flag, type, start, len], words] of LINES) {
    const facts = encodeLock(parseLock(line));
    deepEqual(facts, { flag, type, start, len }, line);
    equal(describeLock(facts!), words);
  }
});

Deno.test("encodeLock() knows nothing of delegations", () => {
  equal(encodeLock(parseLock("1: DELEG  ACTIVE    READ 77 fe:00:9 0 EOF")), undefined);
});

Deno.test("validateLocks() refuses what the kernel never has", () => {
  const good = { flag: 1, type: 1, pid: 7, fd: 3, start: 0n, len: 1n };
  const check = (changes: Partial<typeof good>) =>
    validateLocks(
      [create(file_lock_entrySchema, { ...good, ...changes })],
      (pid, fd) => pid === 7 && fd === 3,
      "x.img",
    );
  check({});
  check({ start: (1n << 63n) - 1n, len: 1n });
  check({ flag: 8, type: 6 });
  const wrong: [Partial<typeof good>, RegExp][] = [
    [{ flag: 3 }, /unknown kind, 3/],
    [{ type: 2 }, /unknown type, 2/],
    [{ type: 6 }, /unknown type, 6/],
    [{ pid: 8 }, /task 8 on descriptor 3/],
    [{ fd: 4 }, /on descriptor 4/],
    [{ start: -1n }, /from -1 on/],
    [{ len: -1n }, /for -1 bytes/],
    [{ start: (1n << 63n) - 1n, len: 2n }, /for 2 bytes/],
  ];
  for (const [changes, says] of wrong) {
    throws(() => check(changes), (error: Error) => {
      match(error.message, says);
      return true;
    });
  }
});

Deno.test("what a lease was before it was to be taken back", () => {
  equal(wholeLease(TYPE.READ, false), TYPE.READ);
  equal(wholeLease(TYPE.WRITE, false), TYPE.WRITE);
  equal(wholeLease(TYPE.READ | BREAKING, false), TYPE.WRITE);
  equal(wholeLease(TYPE.UNLCK | BREAKING, true), TYPE.WRITE);
  equal(wholeLease(TYPE.UNLCK | BREAKING, false), TYPE.READ);
});
