import { equal, ok } from "@std/assert";
import { SEM, SEMAPHORE_MAX, type SemaphoreOperation } from "../../core/linux/sysv_ipc.ts";
import { adjust, askAbove, Bisection, LEAST_ADJUSTMENT, mayBeHeld, settled } from "./undo.ts";

/** What semop(2) does with operations on one semaphore (`perform_atomic_semop_slow()` of ipc/sem.c). */
function semop(
  operations: readonly SemaphoreOperation[],
  state: { value: number; adjustment: number },
): "ERANGE" | "EAGAIN" | undefined {
  let { value, adjustment } = state;
  for (const { op, flags } of operations) {
    if (op === 0 && value !== 0) return "EAGAIN";
    value += op;
    if (value < 0) return "EAGAIN";
    if (value > SEMAPHORE_MAX) return "ERANGE";
    if ((flags & SEM.UNDO) === 0) continue;
    adjustment -= op;
    if (adjustment < LEAST_ADJUSTMENT || adjustment > SEMAPHORE_MAX) return "ERANGE";
  }
  Object.assign(state, { value, adjustment });
  return undefined;
}

const VALUES = [0, 1, 6, 16383, 16384, 32766, 32767];
const ADJUSTMENTS = [LEAST_ADJUSTMENT, -32767, -300, -1, 0, 1, 4, 20000, 32767];

Deno.test("askAbove() asks for an adjustment of any size, and changes nothing", () => {
  for (const value of VALUES) {
    for (const adjustment of ADJUSTMENTS) {
      const state = { value, adjustment };
      const found = new Bisection();
      for (;;) {
        const { threshold } = found;
        if (threshold === undefined) break;
        const operations = askAbove(0, value, threshold);
        ok(operations.length < 20, `${operations.length} operations`);
        found.take(semop(operations, state) === "ERANGE");
      }
      equal(found.adjustment, adjustment, `of a value of ${value}`);
      equal(state.value, value);
      equal(state.adjustment, adjustment);
    }
  }
});

Deno.test("askAbove() never can be done, whatever the value has become", () => {
  for (const value of VALUES) {
    for (const now of VALUES) {
      for (const threshold of [LEAST_ADJUSTMENT, -1, 0, 100, SEMAPHORE_MAX - 1]) {
        const state = { value: now, adjustment: 0 };
        ok(semop(askAbove(0, value, threshold), state), `${value} ${now} ${threshold}`);
      }
    }
  }
});

Deno.test("mayBeHeld() leaves out what no task of the tree can have held", () => {
  const tree = { since: 100 };
  equal(mayBeHeld({ used: 0, isOwn: true }, tree), false);
  equal(mayBeHeld({ used: 99, isOwn: true }, tree), true);
  equal(mayBeHeld({ used: 0, isOwn: false }, tree), false);
  equal(mayBeHeld({ used: 99, isOwn: false }, tree), false);
  equal(mayBeHeld({ used: 100, isOwn: false }, tree), true);
});

Deno.test("settled() believes no answer for a value that has changed meanwhile", () => {
  const values = [0, 1, 1, 1, 1, 1];
  const asked: number[] = [];
  const answer = settled(() => values.shift() as number, (value) => {
    asked.push(value);
    return value === 0;
  });
  equal(answer, false);
  equal(asked.join(), "0,1,1");
});

Deno.test("settled() believes only what it is told twice, and gives up", () => {
  const answers = [true, false, true, true];
  equal(settled(() => 5, () => answers.shift() as boolean), true);
  equal(answers.length, 0);
  let value = 0;
  equal(settled(() => value++, () => true), undefined);
});

Deno.test("adjust() sets an adjustment and leaves the value as it is", () => {
  for (const value of VALUES) {
    for (const adjustment of ADJUSTMENTS) {
      const state = { value, adjustment: 0 };
      equal(semop(adjust(3, value, adjustment), state), undefined);
      equal(state.value, value);
      equal(state.adjustment, adjustment);
    }
  }
});
