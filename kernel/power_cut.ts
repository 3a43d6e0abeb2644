// SPDX-License-Identifier: MIT
/**
 * The power is cut while a job is saved again and again on ext4: QEMU is killed, and with it goes what the kernel inside
 * had not put on its disk. After each boot the same command line takes the job up, which does each step once.
 *
 * @module
 */

import { ok, strictEqual } from "@std/assert";
import { join } from "node:path";
import { waitUntil } from "../tests/harness/processes.ts";
import { steps } from "../tests/jobs/interrupted.ts";
import { run } from "./command.ts";
import { POWER_CUT, type VmResult } from "./vm/options.ts";
import { inVm } from "./live/kernels.ts";

/** The job makes at most so many steps a second, and runs at most so many milliseconds until the power is cut. */
const STEPS_A_SECOND = 50, LONGEST = 4000;

/** About how long it takes to merge checkpoints, in milliseconds. */
const LONGEST_MERGE = 300;
/** Every so many cuts one is made while checkpoints are merged: for so long may saving last until they are. */
const MERGING_CUTS = 4, LONGEST_TO_MERGE = 60_000;

function isOfMerging(cut: number): boolean {
  return cut % MERGING_CUTS === MERGING_CUTS - 2;
}

/** So many that it does not end before the last cut. */
function stepsFor(cuts: number): number {
  const merging = Array.from({ length: cuts }, (_, cut) => cut).filter(isOfMerging).length;
  return ((2 * cuts + 1) * LONGEST + merging * LONGEST_TO_MERGE) * STEPS_A_SECOND / 1000;
}

/**
 * What is run in each boot: a tree with pipes, whose output is the log and whose result is on the disk, and with enough
 * memory for a checkpoint to leave some of it to the one before. Its arguments are the log, and how many steps there are.
 */
const BOOT = `
mkdir /run/disk && mount -t ext4 /dev/vdb /run/disk || exit 99
[ -e /run/disk/pipes.sh ] || cp tests/jobs/programs/pipes.sh /run/disk/ && sync
# A boot uses up low ids, and no two boots the same; saving a job in a pid namespace of its own takes long.
[ -e /run/disk/store ] || echo 5000 >/proc/sys/kernel/ns_last_pid
repository=$PWD
cd /run/disk
deno run -A --no-check --config "$repository/deno.json" "$repository/cli/main.ts" \\
  run -v --every 300ms -D /run/disk/store -- \\
  sh -c 'memory=$(head -c 4000000 /dev/zero | tr "\\0" x); . ./pipes.sh' sh "$2" out ${
  1 / STEPS_A_SECOND
} 2>"$1"
status=$?
cat out
exit $status
`;

/** A disk with an empty ext4, and a directory that host and guest see. */
async function makeRoom() {
  const path = await Deno.makeTempDir({ prefix: "stasis-power-" });
  const [disk, share] = [join(path, "disk"), join(path, "share")];
  await Deno.mkdir(share);
  await run(["mkfs.ext4", "-q", "-F", disk, "512M"], {
    env: { PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin` },
  });
  return {
    disk,
    share,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

type Room = Awaited<ReturnType<typeof makeRoom>>;

/** Boots, runs the job, and says what it has told so far. */
function boot(
  { disk, share }: Room,
  number: number,
  count: number,
  power?: AbortSignal,
) {
  const name = `log.${number}`;
  const log = (): string => {
    try {
      return Deno.readTextFileSync(join(share, name));
    } catch {
      return ""; // It has not got so far.
    }
  };
  const ending = inVm("series", ["sh", "-c", BOOT, "sh", `/share/${name}`, `${count}`], {
    disk,
    share,
    power,
    timeout: 1000,
  });
  return { log, ending };
}

/**
 * Runs a job, and cuts the power so often.
 *
 * @throws where a step was not done, or was done twice
 */
export async function cutPower(cuts: number): Promise<void> {
  const count = stepsFor(cuts);
  await using room = await makeRoom();
  let untilItRuns = 0;
  for (let cut = 0; cut < cuts; cut++) {
    const power = new AbortController();
    const { log, ending } = boot(room, cut, count, power.signal);
    let early: VmResult | undefined;
    const ended = ending.then((result) => early = result);
    ended.catch(() => {}); // told below
    try {
      const begun = performance.now();
      const within = (text: RegExp, timeout = 300_000) =>
        waitUntil(
          () => early !== undefined || text.test(log()),
          () => `${text}:\n${log()}`,
          timeout,
        );
      let span = LONGEST;
      if (cut % 2 === 0) {
        await within(/the job runs as|taken up from/);
        untilItRuns = performance.now() - begun;
        // A job that nobody has seen write yet writes that once more: see docs/jobs.md. And however busy the machine is,
        // some saves come to their end.
        if (cut % 4 === 0) {
          await within(cut === 0 ? /saved as checkpoint 2:/ : /saved as checkpoint/);
        }
        if (isOfMerging(cut)) {
          await within(/making checkpoint \d+ whole/, 1_200_000);
          span = LONGEST_MERGE;
        }
      } else {
        // While it is being taken up, or shortly after that.
        await within(/./);
        span += Math.max(0, untilItRuns - (performance.now() - begun));
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * span));
    } finally {
      power.abort();
    }
    const { status, stdout, stderr } = await ended;
    strictEqual(status, POWER_CUT, `the job ended early:\n${stdout}\n${stderr}\n${log()}`);
    const last = log().trim().split("\n").at(-1) || "nothing";
    console.log(`power cut ${cut + 1}: the last that was told is: ${last}`);
  }
  const { log, ending } = boot(room, cuts, count);
  const { status, stdout, stderr } = await ending;
  strictEqual(status, 0, `${stderr}\n${log()}`);
  ok(/taken up from checkpoint/.test(log()), log());
  strictEqual(stdout, steps(count), log());
}
