import assert from "@std/assert";
import { Accounts, compareAccounts, readProgress } from "./accounts.ts";
import { wrap } from "./narrator.ts";

const GOOD = `pid=5
ready
progress issued 10 emulated 11 received 3 logged 2 wrong 0
progress issued 20 emulated 20 received 6 logged 4 wrong 0
programs=5
issued=30
emulated=30
leaked=0
lost_or_twice=0
wrong_results=0
sent=9
received=9
appended=6
logged=6
verdict PASS
`;

Deno.test("readProgress() reads every line of progress", () => {
  assert.deepEqual(readProgress(GOOD), [
    { issued: 10, emulated: 11 },
    { issued: 20, emulated: 20 },
  ]);
});

Deno.test("compareAccounts() finds what does not agree", () => {
  const wrong = (text: string, atLeast = 20) => compareAccounts(Accounts.parse(text), atLeast);
  assert.deepEqual(wrong(GOOD), []);
  assert.deepEqual(wrong(GOOD.replace("leaked=0", "leaked=1")), ["leaked is 1"]);
  assert.deepEqual(wrong(GOOD.replace("emulated=30", "emulated=29")), [
    "issued is 30, emulated is 29",
  ]);
  assert.deepEqual(wrong(GOOD, 31), ["there were 31 calls already"]);
});

Deno.test("Accounts.parse() misses what is missing", () => {
  assert.throws(() => Accounts.parse(GOOD.replace(/^logged=.*\n/m, "")), /logged/);
});

Deno.test("wrap() breaks at spaces", () => {
  assert.deepEqual(wrap("aa bb ccc dddddddd", 6), ["aa bb", "ccc", "dddddddd"]);
});
