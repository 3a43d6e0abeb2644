import assert from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { user_x86_regs_mode } from "./gen/registers_x86_pb.ts";
import { core_entrySchema } from "./gen/thread_pb.ts";
import { SharedParts } from "./share_core.ts";

const actionOf = (flags: number) => ({
  sigaction: 1n,
  flags: BigInt(flags),
  restorer: 0n,
  mask: 2n,
  compatSigaction: false,
});

const coreOf = (uid: number, word: number) =>
  create(core_entrySchema, {
    threadInfo: {
      clearTidAddr: 0n,
      gpregs: { origAx: BigInt(word), ip: (1n << 64n) - 1n, mode: user_x86_regs_mode.COMPAT },
      fpregs: {
        stSpace: Array<number>(32).fill(0),
        xmmSpace: [word, ...Array<number>(63).fill(0xffff_ffff)],
        xsave: { xstateBv: 7n, zmmUpper: Array<bigint>(64).fill(0n), opmaskReg: [1n, 2n] },
      },
      tls: [{ entryNumber: 12 }],
    },
    tc: {
      taskState: 1,
      exitCode: 0,
      personality: 0,
      flags: 0,
      blkSigset: 0n,
      comm: `task ${word}`,
      sigactions: [actionOf(0), actionOf(0), actionOf(uid)],
      rlimits: { rlimits: [{ cur: 1n, max: (1n << 64n) - 1n }, { cur: BigInt(uid), max: 7n }] },
    },
    threadCore: { futexRla: 0n, futexRlaLen: 0, creds: { uid, groups: [1, 2] } },
  });

Deno.test("SharedParts.share() keeps what images say, and has them share what is equal", () => {
  const parts = new SharedParts();
  const [one, other, third] = [coreOf(1, 5), coreOf(1, 6), coreOf(2, 7)];
  for (const core of [one, other, third]) parts.share(core);
  assert.equal(one.threadCore?.creds, other.threadCore?.creds);
  assert.equal(third.threadCore?.creds?.uid, 2);
  assert.equal(one.threadInfo?.tls, third.threadInfo?.tls);
  assert.equal(one.tc?.sigactions[0], other.tc?.sigactions[1]);
  assert.deepEqual(third.tc?.sigactions.map(({ flags }) => flags), [0n, 0n, 2n]);
  assert.equal(one.tc?.rlimits, other.tc?.rlimits);
  assert.equal(third.tc?.rlimits?.rlimits[1]?.cur, 2n);
  assert.equal(other.tc?.comm, "task 6");
  const xsave = [one, other].map((core) => core.threadInfo?.fpregs?.xsave);
  assert.equal(xsave[0]?.zmmUpper, xsave[1]?.zmmUpper);
  assert.equal(xsave[0]?.zmmUpper.length, 64);
  assert.deepEqual([...xsave[0]?.opmaskReg ?? []], [1n, 2n]);
  const { origAx, ip, gs, mode } = other.threadInfo!.gpregs!;
  assert.deepEqual([origAx, ip, gs], [6n, (1n << 64n) - 1n, 0n]);
  assert.equal(mode, user_x86_regs_mode.COMPAT);
  const { xmmSpace, stSpace } = other.threadInfo!.fpregs!;
  assert.deepEqual(Array.from(xmmSpace.slice(0, 2)), [6, 0xffff_ffff]);
  assert.deepEqual(Array.from(stSpace), Array<number>(32).fill(0));
});
