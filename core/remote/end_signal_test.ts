import assert from "@std/assert";
import { ALL_SIGNALS, SIG, signalBit } from "../linux/signals.ts";
import { chooseEndSignal, isHarmless } from "./end_signal.ts";

const QUIET = { waiting: [], caught: 0n, blocked: 0n, isStopped: false };
const mask = (...signals: number[]) => signals.reduce((all, one) => all | signalBit(one), 0n);

Deno.test("chooseEndSignal() takes one that does nothing, wherever it gets to", () => {
  assert.equal(chooseEndSignal(QUIET), SIG.URG);
  assert.equal(chooseEndSignal({ ...QUIET, caught: mask(SIG.URG) }), SIG.WINCH);
  assert.equal(chooseEndSignal({ ...QUIET, blocked: mask(SIG.URG, SIG.WINCH) }), SIG.CHLD);
  assert.equal(chooseEndSignal({ ...QUIET, waiting: [SIG.URG] }), SIG.WINCH);
});

Deno.test("chooseEndSignal() takes a blocked one rather than one that is caught", () => {
  const state = { ...QUIET, blocked: ALL_SIGNALS, caught: mask(SIG.URG, SIG.WINCH) };
  assert.equal(chooseEndSignal(state), SIG.CHLD);
});

Deno.test("chooseEndSignal() continues nothing that is or is to be stopped", () => {
  const go = { ...QUIET, caught: mask(SIG.URG, SIG.WINCH, SIG.CHLD) };
  assert.equal(chooseEndSignal(go), SIG.CONT);
  assert.equal(chooseEndSignal({ ...go, isStopped: true }), SIG.URG);
  assert.equal(chooseEndSignal({ ...go, waiting: [SIG.TSTP] }), SIG.URG);
});

Deno.test("chooseEndSignal() takes none that waits already, and says so if all do", () => {
  const unknown = { waiting: [SIG.URG], blocked: 0n, isStopped: false };
  assert.equal(chooseEndSignal(unknown), SIG.WINCH);
  const all = [SIG.URG, SIG.WINCH, SIG.CHLD, SIG.CONT, SIG.IO, 60, 61, 62, 63];
  assert.equal(chooseEndSignal({ ...QUIET, waiting: all }), undefined);
});

Deno.test("isHarmless() knows those that a target does not hear", () => {
  assert.equal(isHarmless(SIG.URG, 0n), true);
  assert.equal(isHarmless(SIG.URG, mask(SIG.URG)), false);
  assert.equal(isHarmless(SIG.IO, 0n), false);
});
