/**
 * Memory: how fast it goes out and comes back, against the plain write and read of as many bytes to and from the
 * same place in the same run, in turns.
 *
 * @module
 */

import { table } from "../cli/ui/table.ts";
import { Subject } from "../tests/harness/subject.ts";
import { measureRound, median } from "./measure.ts";

const CHUNK = 1 << 20;

/**
 * Writes a new file and puts it on the disk, as a checkpoint does. All bytes come from memory: one chunk written
 * over and over would come from the processor's cache.
 *
 * @returns milliseconds
 */
function plainWrite(path: string, memory: Uint8Array): number {
  const begin = performance.now();
  using file = Deno.openSync(path, { write: true, createNew: true });
  for (let at = 0; at < memory.length;) at += file.writeSync(memory.subarray(at, at + CHUNK));
  file.syncSync();
  return performance.now() - begin;
}

/** Reads a file into memory that nobody has touched yet, as a restore does. @returns milliseconds */
function plainRead(path: string, bytes: number): number {
  using file = Deno.openSync(path);
  const begin = performance.now();
  const memory = new Uint8Array(bytes);
  for (let at = 0; at < bytes;) at += file.readSync(memory.subarray(at, at + CHUNK)) ?? bytes;
  return performance.now() - begin;
}

/**
 * Measures so many MiB.
 *
 * @param home a directory for images and files
 * @returns the lines of a table
 */
export async function memoryTable(home: string, mib: number, rounds: number): Promise<string[]> {
  const bytes = mib * CHUNK;
  const times = {
    write: [],
    checkpoint: [],
    frozen: [],
    pages: [],
    read: [],
    restore: [],
  } as Record<
    "write" | "checkpoint" | "frozen" | "pages" | "read" | "restore",
    number[]
  >;
  const source = new Uint8Array(bytes).fill(0xa5);
  const path = `${home}/plain`;
  for (let count = 0; count < rounds; count++) {
    await using program = await Subject.start("mem_anon", {
      args: [String(mib)],
      timeoutMs: 120_000,
    });
    // A virtual machine gives free memory back to its host, and its first use afterwards is many times slower.
    // So each of the two finds as many pages that were in use a moment ago; where the host is too quick, the
    // fastest rounds still compare like with like.
    plainWrite(path, source);
    Deno.removeSync(path);
    times.write.push(plainWrite(path, source));
    Deno.removeSync(path);
    const round = await measureRound(program, `${home}/images`);
    times.checkpoint.push(round.checkpoint);
    times.frozen.push(round.frozen);
    times.pages.push(round.pages);
    times.restore.push(round.restore);
    plainWrite(path, source);
    times.read.push(plainRead(path, bytes));
    Deno.removeSync(path);
  }
  const row = (name: string, values: number[], base: number[]) => {
    const time = median(values), best = Math.min(...values);
    return [
      name,
      time.toFixed(0),
      (bytes / 1e6 / time).toFixed(2),
      (median(base) / time).toFixed(2),
      best.toFixed(0),
      (Math.min(...base) / best).toFixed(2),
    ];
  };
  return table([
    ["", "ms", "GB/s", "of the plain one", "fastest ms", "of the plain one"],
    row("plain write", times.write, times.write),
    row("checkpoint", times.checkpoint, times.write),
    row("of it frozen", times.frozen, times.write),
    row("of it pages out", times.pages, times.write),
    row("plain read", times.read, times.read),
    row("restore", times.restore, times.read),
  ], ["left", "right", "right", "right", "right", "right"]);
}
