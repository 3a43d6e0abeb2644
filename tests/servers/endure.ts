/**
 * A server that is checkpointed while it runs on, then ended and restored, again and again, while a client outside never
 * stops: it must see a pause and nothing worse, and the server must not grow.
 *
 * @module
 */
import { INET_LOCK } from "../../images/kinds/inet.ts";
import { openImages, type RestoredTree } from "../../mod.ts";
import { openLock } from "../../plugins/inet/network_lock.ts";
import { locateProgram } from "../../scripts/setup/unpacked.ts";
import { grown, holdings, TARGETS_OWN } from "../endurance/holdings.ts";
import { checkpoint, restore } from "../harness/operations.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject, SUBJECT_PATH } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { Images } from "../programs/images.ts";
import type { Client, Trial } from "./trial.ts";

const options = { ...UNHURRIED, tcpEstablished: true };

function isThere(file: string): boolean {
  try {
    return Deno.statSync(file).isFile;
  } catch {
    return false;
  }
}

/** Where a program is; undefined where it is nowhere. */
function find(name: string): ReturnType<typeof locateProgram> | undefined {
  const path = SUBJECT_PATH.split(":");
  const found = locateProgram(name, path, isThere);
  const isOnPath = path.some((directory) => isThere(`${directory}/${name}`));
  return isOnPath || found.program !== name || name.includes("/") ? found : undefined;
}

/** A port that nobody has, nor the next. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Has a client do what it does until it is stopped. */
class Load {
  /** How often it has. */
  steps = 0;
  #isOver = false;
  readonly #all: Promise<void>;
  /** What was wrong. */
  error: unknown;

  constructor(client: Client) {
    this.#all = this.#run(client);
    // Who waits for it is told later.
    this.#all.catch((error) => this.error = error);
  }

  async #run({ step }: Client): Promise<void> {
    while (!this.#isOver) {
      await step();
      this.steps++;
    }
  }

  /** Waits for some more steps. */
  async goesOn(): Promise<void> {
    const before = this.steps;
    await waitUntil(
      () => {
        if (this.error !== undefined) throw this.error;
        return this.steps > before + 3;
      },
      "answers",
      120_000,
    );
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#all;
  }
}

/** The first client of a server that has just been started. */
async function firstClient(trial: Trial, port: number, subject: Subject): Promise<Client> {
  for (;;) {
    try {
      return await trial.client(port, subject.cwd);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused) || !subject.alive) throw error;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }
}

/** Lets packets pass again, at the end of a scope, that the checkpoint holds back which is in a directory. */
function lettingPass(directory: string): Disposable {
  const images = openImages(directory);
  const { table } = images.has(INET_LOCK, null)
    ? images.read(INET_LOCK, null)
    : { table: undefined };
  return {
    [Symbol.dispose]() {
      // As a rule the restore has done it.
      if (table !== undefined) openLock(table);
    },
  };
}

/** The programs of a trial that are not there. */
export function missingPrograms({ needs }: Trial): string[] {
  return needs.filter((one) => find(one) === undefined);
}

/**
 * Tries a server.
 *
 * @param cycles how often it is left running and restored
 * @returns how often the client did what it does
 * @throws where something is wrong
 */
export async function endure(name: string, trial: Trial, cycles: number): Promise<number> {
  const port = freePort();
  await using images = await Images.create();
  const room = await Deno.makeTempDir({ prefix: "stasis-server-" });
  using _room = { [Symbol.dispose]: () => Deno.removeSync(room, { recursive: true }) };
  const [command = "", ...args] = await trial.command(room, port);
  const { program, env } = find(command) ?? { program: command, env: {} };
  await using subject = await Subject.spawn(program, { args, env, cwd: room });
  using client = await firstClient(trial, port, subject);
  const load = new Load(client);
  let early = holdings(subject.pid);
  let late = early;
  let tree: RestoredTree | undefined;
  for (let cycle = 1; cycle <= cycles; cycle++) {
    await load.goesOn();
    const [first, second] = [images.next(), images.next()];
    await checkpoint(subject.pid, { directory: first, options, leaveRunning: true });
    await load.goesOn();
    await checkpoint(subject.pid, { directory: second, options });
    using _passing = lettingPass(second);
    // What has been restored is a child of this process, which nobody else reaps.
    await tree?.wait();
    await subject.waitGone();
    tree = await restore(second);
    for (const directory of [first, second]) Deno.removeSync(directory, { recursive: true });
    late = holdings(subject.pid);
    if (cycle === Math.ceil(cycles / 10)) early = late;
  }
  await load.goesOn();
  await load.end();
  await client.end?.();
  tree?.kill(trial.endsBy ?? 9);
  await tree?.wait();
  const wrong = grown(name, early, late, trial.own ?? TARGETS_OWN);
  if (wrong.length > 0) throw new Error(wrong.join("; "));
  return load.steps;
}
