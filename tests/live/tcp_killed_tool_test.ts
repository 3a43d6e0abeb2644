/**
 * The tool is killed by SIGKILL while it holds a connection to outside, and until it has ended: nobody at the other end
 * notices, and nothing goes on holding it. `deno task test:kill` does so at each of its system calls.
 */
import assert from "@std/assert";
import { existsSync } from "node:fs";
import { INET_LOCK } from "../../images/kinds/inet.ts";
import { openImages, restore } from "../../mod.ts";
import { openLock } from "../../plugins/inet/network_lock.ts";
import { EchoClient } from "../harness/echo_client.ts";
import { startEcho, tablesOf } from "../harness/echo_server.ts";
import { actAtMoment } from "../harness/kill_at_call.ts";
import { waitUntil } from "../harness/processes.ts";
import type { Subject } from "../harness/subject.ts";
import { ImageHome } from "./round_trip.ts";

/** Whether this is `deno task test:kill`. */
const MANY = Deno.env.has("STASIS_MANY_KILLS");
/** At how many moments the tool is killed, at most: all that there are are some 1,400. */
const KILLS = MANY ? Number(Deno.env.get("STASIS_KILLS") ?? Infinity) : 6;

function saving(subject: Subject, directory: string): string[] {
  const where = ["-D", directory, "--tcp-established", "--timeout", "120"];
  return ["checkpoint", String(subject.pid), ...where];
}

/** Between which moments of a checkpoint packets are held back, as one learns that ends a program. */
async function momentsOfHolding(): Promise<readonly [first: number, last: number]> {
  using images = new ImageHome();
  await using subject = await startEcho();
  const port = Number(subject.fact("port"));
  using _connection = await Deno.connect({ port });
  let first = -1, moments = 0;
  const { status, stderr } = await actAtMoment(
    saving(subject, images.directory),
    Infinity,
    () => {},
    (call) => {
      // By such calls it talks to nf_tables.
      if (first < 0 && call === "sendto" && tablesOf(port).length > 0) first = moments;
      moments++;
    },
  );
  assert.equal(status.code, 0, stderr);
  openLock(openImages(images.directory).read(INET_LOCK, null).table);
  assert.ok(first >= 0, "nothing was held back");
  return [first, moments - 1];
}

Deno.test("connections to outside go on wherever the tool is killed", async () => {
  const [first, last] = await momentsOfHolding();
  using images = new ImageHome();
  await using subject = await startEcho();
  const port = Number(subject.fact("port"));
  const client = await EchoClient.connect(port, "127.0.0.1");
  const kills = Math.min(KILLS, last - first + 1);
  let saved = 0;
  for (let kill = 0; kill < kills; kill++) {
    await client.goesOn();
    const moment = first + Math.floor((last - first) * kill / (kills - 1));
    const directory = `${images.directory}-${kill}`;
    const run = await actAtMoment(saving(subject, directory), moment);
    // Past the commit the tree is ended, whoever does it, and the images are there.
    if (existsSync(directory)) {
      await waitUntil(() => !subject.alive, "the tree to be dead");
      await restore(directory);
      saved++;
      Deno.removeSync(directory, { recursive: true });
    }
    assert.deepEqual(tablesOf(port), [], `killed at ${run.call}, moment ${moment}`);
  }
  if (MANY) console.log(`${kills} kills from moment ${first} to ${last}, ${saved} past the commit`);
  await client.goesOn();
  await client.end();
  await subject.expectPass();
});
