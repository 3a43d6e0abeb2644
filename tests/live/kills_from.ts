/**
 * Killing the tool again and again in the later part of a checkpoint after which its subject runs on.
 *
 * @module
 */
import { equal, ok } from "@std/assert";
import { actAtMoment } from "../harness/kill_at_call.ts";
import type { Subject } from "../harness/subject.ts";
import { ImageRoom } from "../harness/unharmed.ts";

/** How often the tool is killed. */
const KILLS = Number(Deno.env.get("STASIS_KILLS") ?? 4);

/**
 * Kills the tool while it saves a subject, which lives on each time, and in the end is what it was.
 *
 * @param from where in the run the kills begin, from 0 to 1
 * @param look is told where it was killed
 */
export async function killsFrom(
  from: number,
  subject: Subject,
  look: (where: string) => void | Promise<void>,
): Promise<void> {
  using room = new ImageRoom();
  const saving = () => [
    ...["checkpoint", String(subject.pid), "-D", room.fresh(), "--leave-running"],
    ...["--timeout", "120"],
  ];
  const { moments, status, stderr } = await actAtMoment(saving(), Infinity);
  equal(status.code, 0, stderr);
  for (let kill = 0; kill < KILLS; kill++) {
    const part = from + (1 - from) * (kill + Math.random()) / KILLS;
    const run = await actAtMoment(saving(), Math.floor(part * moments));
    const where = `killed at ${run.call}, moment ${run.moments} of ${moments}`;
    ok(subject.alive, where);
    await look(where);
  }
  await subject.expectPass();
}
