/**
 * What becomes of a hostile image directory: it is shown and planned as the command line does it.
 *
 * @module
 */
import { inspectImages } from "../../cli/inspect/model.ts";
import { describeImages } from "../../cli/inspect/text.ts";
import { toJson } from "../../base/json.ts";
import { StasisError } from "../../base/errors.ts";
import { ImageDirectory } from "../../images/mod.ts";
import { makeParent } from "../../images/parent.ts";
import { parentPath } from "../../images/path.ts";
import { planRestore } from "../../mod.ts";
import type { Change, Images } from "./mutate.ts";

/** An image directory on the disk whose files are changed and put back. */
export class HostileDirectory {
  #changed: readonly string[] = [];

  /**
   * @param path where it is; it must not exist yet
   * @param images what it holds where nothing is changed
   */
  constructor(readonly path: string, private readonly images: Images) {
    Deno.mkdirSync(path, { mode: 0o700 });
    makeParent(path);
    this.#write("");
  }

  /** Takes back the last changes and makes new ones. */
  change(changes: ReadonlyMap<string, Change>): void {
    for (const name of this.#changed) remove(`${this.path}/${name}`);
    for (const name of this.#changed) this.#write(name);
    // What took the place of a directory goes before the files in it: it may lead elsewhere.
    this.#changed = [...changes.keys()].sort((one, other) => one.length - other.length);
    // And it comes after them, which it takes with it.
    for (const name of this.#changed.toReversed()) {
      const change = changes.get(name);
      const path = `${this.path}/${name}`;
      remove(path);
      if (change instanceof Uint8Array) {
        Deno.mkdirSync(parentPath(path), { recursive: true });
        Deno.writeFileSync(path, change);
      } else if (change === "directory") Deno.mkdirSync(path);
      else if (change === "link") Deno.symlinkSync("/dev/zero", path);
      else if (change === "circle") Deno.symlinkSync(".", path);
      else if (change === "fifo") new Deno.Command("mkfifo", { args: [path] }).outputSync();
    }
  }

  /** Writes a file as it was, or all in a directory. */
  #write(place: string): void {
    for (const [name, bytes] of this.images) {
      if (place !== "" && name !== place && !name.startsWith(`${place}/`)) continue;
      Deno.mkdirSync(parentPath(`${this.path}/${name}`), { recursive: true });
      Deno.writeFileSync(`${this.path}/${name}`, bytes);
    }
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** How it went: planned, or the code of the error that refused it. */
export type Outcome = "planned" | StasisError["code"];

/**
 * Shows an image directory and plans its restore.
 *
 * @throws what is no {@link StasisError}, or one of the code `internal`: a defect
 */
export async function evaluate(directory: string): Promise<Outcome> {
  await refusedOr(() => {
    const inspected = inspectImages(ImageDirectory.open(directory));
    toJson(inspected);
    describeImages(inspected, { verbose: true, colour: false });
    return Promise.resolve("planned" as const);
  });
  return await refusedOr(async () => {
    const plan = await planRestore(directory);
    for (const _ of plan.describe());
    plan.scratchSize();
    return "planned" as const;
  });
}

/** Runs something that may be refused. @throws a defect */
export async function refusedOr(run: () => Promise<"planned">): Promise<Outcome> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof StasisError && error.code !== "internal") return error.code;
    throw error;
  }
}
