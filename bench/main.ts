/**
 * `deno task bench`: measures and prints growth tables.
 *
 *     deno task bench [NAME...] [--rounds N] [--mib N] [--dir DIR]
 *
 * Names: small, threads, processes, descriptors, sockets, mappings, memory; all of them where none is given. Each number is
 * the median of the rounds. Images go to a directory of their own in /dev/shm, or in DIR.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { CASES } from "./cases.ts";
import { growthTable, type Point } from "./growth.ts";
import { measureRound, medianTimes, type Times } from "./measure.ts";
import { memoryTable } from "./memory.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    mib: { type: "string", default: "1024" },
    dir: { type: "string", default: "/dev/shm" },
  },
});
const NAMES = [...CASES.map(({ name }) => name), "memory"];
const rounds = Number(values.rounds);
const mib = Number(values.mib);
const unknown = positionals.find((name) => !NAMES.includes(name));
if (unknown !== undefined || !(rounds >= 1) || !(mib >= 1)) {
  console.error(
    `usage: deno task bench [${NAMES.join("|")}]... [--rounds N] [--mib N] [--dir DIR]`,
  );
  Deno.exit(2);
}
const wanted = positionals.length > 0 ? positionals : NAMES;
const home = await Deno.makeTempDir({ dir: values.dir, prefix: "stasis-bench-" });
try {
  for (const one of CASES) {
    if (!wanted.includes(one.name)) continue;
    {
      // The first round of a process is slower: code is compiled, and files come into the cache.
      await using program = await one.start(one.sizes[0]!);
      await measureRound(program, `${home}/images`);
    }
    const points: Point[] = [];
    for (const size of one.sizes) {
      const times: Times[] = [];
      for (let round = 0; round < rounds; round++) {
        await using program = await one.start(size);
        times.push(await measureRound(program, `${home}/images`));
      }
      points.push({ size, times: medianTimes(times) });
    }
    console.log(`\n${one.title}\n${growthTable(one.unit, points).join("\n")}`);
  }
  if (wanted.includes("memory")) {
    const lines = await memoryTable(home, mib, rounds);
    console.log(`\n${mib} MiB of memory, ${values.dir}\n${lines.join("\n")}`);
  }
} finally {
  await Deno.remove(home, { recursive: true });
}
