/**
 * Tries hostile images, in a process of its own: one that hangs or takes memory can be ended then.
 *
 *     worker.ts HOME SEED FROM TO BUILD_EVERY
 *
 * HOME has the recorded images, the directory `canary` that nobody may touch, and the file `progress`, in which the
 * number of the case under way stands. Prints a line of JSON ({@link Report}) for each defect and one at the end.
 *
 * @module
 */
import { restore } from "../../mod.ts";
import { readImages } from "./corpus.ts";
import { evaluate, HostileDirectory, type Outcome, refusedOr } from "./evaluate.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import stop from "./stop_plugin.ts";

/** What a worker tells, a line each. */
export type Report =
  | { readonly kind: "defect"; readonly number: number; readonly what: string }
  | {
    readonly kind: "end";
    readonly outcomes: Readonly<Record<string, number>>;
    readonly built: number;
  };

/** The case with a number: the same for the same images and seed. */
export function randomOf(seed: number, number: number): Random {
  return new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b));
}

/** The recorded images in a directory, sorted by name. */
export function recorded(home: string): { readonly name: string; readonly path: string }[] {
  return [...Deno.readDirSync(home)]
    .filter(({ name }) => name.startsWith("recorded-"))
    .map(({ name }) => ({ name, path: `${home}/${name}` }))
    .sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Builds the tree of a hostile directory that can be planned, and ends it. */
async function build(directory: string): Promise<Outcome> {
  return await refusedOr(async () => {
    const tree = await restore(directory, { plugins: [stop] });
    tree.kill(9);
    throw new Error(`a hostile tree runs: ${tree.pid}`);
  });
}

/** Everything in a directory: names, sizes, contents. */
function listing(directory: string): string {
  const lines: string[] = [];
  for (const { name, isFile, isDirectory } of Deno.readDirSync(directory)) {
    const path = `${directory}/${name}`;
    const { mode, uid, gid } = Deno.lstatSync(path);
    lines.push(`${name} ${mode} ${uid} ${gid} ${isFile ? Deno.readTextFileSync(path) : ""}`);
    if (isDirectory) lines.push(...listing(path).split("\n").map((line) => `${name}/${line}`));
  }
  return lines.sort().join("\n");
}

function children(): string {
  return Deno.readTextFileSync(`/proc/self/task/${Deno.pid}/children`);
}

function describe(error: unknown): string {
  let cause = error;
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause;
  return cause instanceof Error ? cause.stack ?? cause.message : String(cause);
}

async function work(home: string, seed: number, from: number, to: number, buildEvery: number) {
  const tell = (report: Report) => console.log(JSON.stringify(report));
  using room = new Room(home);
  const all = recorded(home).map(({ path }) => readImages(path));
  const directories = all.map((images, index) =>
    new HostileDirectory(`${room.path}/${index}`, images)
  );
  const canary = `${home}/canary`;
  const untouched = listing(canary);
  const outcomes: Record<string, number> = {};
  let planned = 0;
  let built = 0;
  const encoder = new TextEncoder();
  using progress = Deno.openSync(`${home}/progress`, { write: true });
  for (let number = from; number < to; number++) {
    progress.seekSync(0, Deno.SeekMode.Start);
    progress.writeSync(encoder.encode(String(number).padEnd(12)));
    const random = randomOf(seed, number);
    const index = random.below(all.length);
    const directory = directories[index] as HostileDirectory;
    const { changes, what } = mutate(random, all[index]!, all, canary);
    directory.change(changes);
    try {
      const outcome = await evaluate(directory.path);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (outcome !== "planned" || ++planned % buildEvery !== 0) continue;
      built++;
      const before = children();
      const end = await build(directory.path);
      outcomes[`built: ${end}`] = (outcomes[`built: ${end}`] ?? 0) + 1;
      if (children() !== before) throw new Error(`processes are left: ${children()}`);
      if (listing(canary) !== untouched) throw new Error(`touched:\n${listing(canary)}`);
    } catch (error) {
      const which = `${recorded(home)[index]?.name}: ${what.join("; ")}`;
      tell({ kind: "defect", number, what: `${which}\n${describe(error)}` });
    }
  }
  tell({ kind: "end", outcomes, built });
}

/** A temporary directory for the changed images. */
class Room implements Disposable {
  readonly path: string;

  constructor(home: string) {
    this.path = Deno.makeTempDirSync({ dir: home, prefix: "hostile-" });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

if (import.meta.main) {
  const [home, ...numbers] = Deno.args;
  const [seed, from, to, buildEvery] = numbers.map(Number) as [number, number, number, number];
  await work(home as string, seed, from, to, buildEvery);
}
