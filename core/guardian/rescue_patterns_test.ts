import assert from "@std/assert";
import { PTRACE } from "../linux/ptrace.ts";
import { ptraceCall, type ThreadUndo } from "../remote/undo.ts";
import { type Before, processPlace, threadBlock } from "./rescue_blocks.ts";
import { isUsual, ThreadPattern } from "./rescue_patterns.ts";
import { FIRST_BLOCK, TABLE_SIZE } from "./rescue_table.ts";

const MARK = 0x1234_5678_9abc_def0n;

function undoOf(tid: number, isHalfway: boolean): ThreadUndo {
  const bytes = (size: number) => crypto.getRandomValues(new Uint8Array(size));
  const setMask = () => ptraceCall(PTRACE.SETSIGMASK, tid, 8n, bytes(8));
  const usual = [setMask(), ptraceCall(PTRACE.SETREGS, tid, 0n, bytes(27 * 8))];
  return {
    pid: 10,
    tid,
    options: 1n << 21n,
    calls: isHalfway ? [...usual, setMask()] : usual,
    halfway: isHalfway ? { mask: 0xffff_ffff_fffb_feffn, call: setMask() } : undefined,
  };
}

Deno.test("ThreadPattern makes the blocks that threadBlock() makes", () => {
  for (const isHalfway of [false, true]) {
    const pattern = new ThreadPattern(MARK, isHalfway);
    for (const at of [FIRST_BLOCK, 0x12_3000, Number(TABLE_SIZE) - 4096]) {
      const process = processPlace(FIRST_BLOCK + 0x9000);
      const undo = undoOf(4_000_000, isHalfway);
      const before: Before = (list) => list.end + BigInt(list.head);
      assert.deepEqual(
        pattern.make(at, process, undo, before),
        threadBlock(at, process, undo, MARK, before),
      );
    }
  }
});

Deno.test("isUsual() tells threads that are put back by their masks and registers alone", () => {
  for (const undo of [undoOf(11, false), undoOf(11, true)]) {
    assert.ok(isUsual(undo));
    assert.ok(!isUsual({ ...undo, pid: 11 }));
    assert.ok(!isUsual({ ...undo, calls: [ptraceCall(PTRACE.SETREGS, 11), ...undo.calls] }));
    assert.ok(!isUsual({ ...undo, calls: [...undo.calls.slice(1), ...undo.calls.slice(0, 1)] }));
  }
  assert.ok(!isUsual({ ...undoOf(11, true), halfway: undefined }));
});
