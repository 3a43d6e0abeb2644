/**
 * Time by the number of threads that were given two filters by TSYNC (small ones, and of 4096 instructions), and by the number of
 * instructions of a chain.
 *
 *     deno run -A bench/seccomp.ts [ROUNDS]
 *
 * @module
 */
import { Subject } from "../tests/harness/subject.ts";
import { growthTable, type Point } from "./growth.ts";
import { measureRound, medianTimes, type Times } from "./measure.ts";

const rounds = Number(Deno.args[0] ?? "5");
const home = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "stasis-bench-" });

async function measure(
  title: string,
  unit: string,
  sizes: readonly number[],
  start: (size: number) => Promise<Subject>,
): Promise<void> {
  {
    // The first round of a process is slower: code is compiled, and files come into the cache.
    await using program = await start(sizes[0]!);
    await measureRound(program, `${home}/images`);
  }
  const points: Point[] = [];
  for (const size of sizes) {
    const times: Times[] = [];
    for (let round = 0; round < rounds; round++) {
      await using program = await start(size);
      times.push(await measureRound(program, `${home}/images`));
    }
    points.push({ size, times: medianTimes(times) });
  }
  console.log(`\n${title}\n${growthTable(unit, points).join("\n")}`);
}

try {
  await measure(
    "threads, two filters by TSYNC",
    "thread",
    [50, 100, 200],
    (size) => Subject.start("seccomp_threads", { args: ["tsync", String(size)] }),
  );
  await measure(
    "threads, two filters of 4096 instructions by TSYNC",
    "thread",
    [50, 100, 200],
    (size) => Subject.start("seccomp_threads", { args: ["large", String(size)] }),
  );
  await measure(
    "filters of 4096 instructions",
    "filter",
    [1, 2, 4, 7],
    (size) => Subject.start("seccomp_chain", { args: [String(size), "4096"] }),
  );
} finally {
  await Deno.remove(home, { recursive: true });
}
