import assert from "@std/assert";
import { Progress } from "./progress.ts";

function recorder(options: { terminal: boolean; level: number }) {
  let text = "";
  let time = 0;
  const progress = new Progress({
    ...options,
    colour: false,
    write: (more) => text += more,
    now: () => time,
  });
  return { progress, at: (ms: number) => void (time = ms), text: () => text };
}

const work = (done: bigint) =>
  ({ kind: "progress", what: "memory", done, total: 4n << 30n }) as const;

Deno.test("Progress draws one line over again on a terminal, and clears it", () => {
  const { progress, at, text } = recorder({ terminal: true, level: 0 });
  progress.listener(work(0n));
  at(50);
  progress.listener(work(1n << 28n));
  assert.equal(text(), "", "short work is not shown");
  at(1000);
  progress.listener(work(1n << 30n));
  assert.equal(text(), "\r\x1b[Kmemory  25 %  1.0 GiB of 4.0 GiB  1.0 GiB/s");
  at(1010);
  progress.listener(work(2n << 30n));
  assert.equal(text().split("memory").length, 2, "drawn at most ten times a second");
  progress.listener({ kind: "note", plugin: "files", text: "look" });
  assert.ok(text().endsWith("GiB/s\r\x1b[Knote: look\n"));
  progress[Symbol.dispose]();
  assert.ok(text().endsWith("look\n"));
});

Deno.test("Progress draws nothing where there is no terminal, and tells details only if asked", () => {
  const quiet = recorder({ terminal: false, level: 0 });
  const verbose = recorder({ terminal: false, level: 1 });
  for (const { progress, at } of [quiet, verbose]) {
    progress.listener(work(0n));
    at(1500);
    progress.listener(work(1n));
    progress.listener({ kind: "phase", phase: "freeze" });
    progress.listener({ kind: "detail", plugin: "sud", text: "3 threads" });
  }
  assert.equal(quiet.text(), "");
  assert.equal(verbose.text(), "  1500.0 ms freeze\n  1500.0 ms   sud: 3 threads\n");
});
