/**
 * The floors, for a machine without CRIU: what the kernel takes for the same bytes, pages and processes by itself.
 *
 * @module
 */

import { median } from "./comparison.ts";
import { runTimed } from "./timed.ts";
import { fileURLToPath } from "node:url";
import { buildProgram } from "../tests/harness/build.ts";

/** One floor, in milliseconds. */
export interface Floor {
  readonly title: string;
  readonly median: number;
}

const CHUNK = 1 << 20;
const FORK_SOURCE = fileURLToPath(new URL("fork_floor.c", import.meta.url));

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
 * Measures them in turns.
 *
 * @param home a directory for files, on the file system that images go to
 * @param mib how much memory
 */
export async function measureFloors(home: string, mib: number, rounds: number): Promise<Floor[]> {
  const times = new Map<string, number[]>();
  const note = (title: string, ms: number) => {
    times.set(title, [...times.get(title) ?? [], ms]);
  };
  const path = `${home}/plain`;
  const fork = await buildProgram(FORK_SOURCE);
  for (let round = 0; round < rounds; round++) {
    const source = new Uint8Array(mib * CHUNK).fill(0xa5);
    // A virtual machine gives free memory back to its host, and its first use afterwards is many times slower.
    // So the first one is not counted.
    plainWrite(path, source);
    await Deno.remove(path);
    note(`write ${mib} MiB to a new file`, plainWrite(path, source));
    note(`read ${mib} MiB into new memory`, plainRead(path, source.length));
    await Deno.remove(path);
    for (const [pages, title] of [["small", "4 KiB pages"], ["huge", "huge pages"]] as const) {
      const { stdout } = await runTimed([fork, String(mib), pages], home);
      note(`fork a process of ${mib} MiB, ${title}`, Number(stdout) / 1e6);
    }
    const idle = await runTimed([Deno.execPath(), "eval", "--no-config", ""], home);
    note("start and end the runtime", idle.wallMs);
  }
  return [...times].map(([title, values]) => ({ title, median: median(values) }));
}
