import { deepEqual, equal } from "@std/assert";
import { HandedOn } from "./handed_on.ts";

const INT = 2, USR2 = 12;

function receiver() {
  const signals: number[] = [];
  return { signals, kill: (signal: number) => signals.push(signal) };
}

Deno.test("HandedOn keeps a SIGUSR2 for a job that is being taken up, and cancels nothing", () => {
  const handedOn = new HandedOn();
  handedOn.take(USR2);
  equal(handedOn.cancelled.aborted, false);
  const job = receiver();
  handedOn.giveTo(job, false);
  handedOn.take(USR2);
  deepEqual(job.signals, [USR2, USR2]);
  equal(handedOn.isInterrupted, false);
});

Deno.test("HandedOn does not kill a job that has just begun by a SIGUSR2 that was not for it", () => {
  const handedOn = new HandedOn();
  handedOn.take(USR2);
  const job = receiver();
  handedOn.giveTo(job, true);
  deepEqual(job.signals, []);
});

Deno.test("HandedOn loses no SIGINT that comes when nothing can be cancelled any more", () => {
  const handedOn = new HandedOn();
  handedOn.take(INT);
  equal(handedOn.cancelled.aborted, true);
  equal(handedOn.isInterrupted, false);
  const job = receiver();
  handedOn.giveTo(job, true);
  deepEqual(job.signals, [INT]);
  equal(handedOn.isInterrupted, true);
});
