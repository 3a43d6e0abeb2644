/**
 * Arithmetic whose result is known, in Node's main thread and in a worker, with timers, streams of files,
 * promises of the thread pool, and a pipe between programs: everything that Node's event loop waits for.
 *
 * Usage: node compute.mjs STEPS ROUNDS
 */
import { createHash, pbkdf2 } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const derive = promisify(pbkdf2);
const hex = (state) => state.toString(16).padStart(16, "0");

function advance(state, rounds) {
  for (let round = 0; round < rounds; round++) {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
  }
  return state;
}

/** The worker computes on its own and answers each step that it is told. */
function work({ rounds }) {
  let state = 2n;
  parentPort.on("message", (step) => {
    state = advance(state, rounds);
    parentPort.postMessage({ step, state });
  });
}

async function main(steps, rounds) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { rounds } });
  const stream = createWriteStream("stream.txt");
  const file = await open("positioned.bin", "w+");
  let ticks = 0;
  const timer = setInterval(() => ticks++, 20);
  let state = 1n;
  for (let step = 0; step < steps; step++) {
    // The timer paces the steps: one that is lost stops the program.
    while (ticks <= step) await sleep(5);
    state = advance(state, rounds);
    worker.postMessage(step);
    const [answer] = await once(worker, "message");
    if (answer.step !== step) throw new Error(`the worker answered ${answer.step}`);
    console.log(`step ${step} ${hex(state)} ${hex(answer.state)}`);
    if (!stream.write(`line ${step} ${hex(state)}\n`)) await once(stream, "drain");
    // The thread pool: a key, and a write at its place.
    const key = await derive(`step ${step}`, "salt", 500, 16, "sha256");
    await file.write(key, 0, 16, step * 16);
  }
  clearInterval(timer);
  stream.end();
  await once(stream, "finish");
  await file.close();
  await worker.terminate();
  const hash = createHash("sha256");
  for await (const chunk of createReadStream("positioned.bin", { highWaterMark: 64 })) {
    hash.update(chunk);
  }
  console.log(`keys ${hash.digest("hex")}`);
  console.log("done");
}

if (isMainThread) await main(Number(process.argv[2]), Number(process.argv[3]));
else work(workerData);
