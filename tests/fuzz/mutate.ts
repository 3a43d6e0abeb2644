/**
 * Hostile changes of an image directory: of fields, bytes, entries and whole files. Pure: the same random numbers and
 * the same images give the same change.
 *
 * @module
 */
import { type Frame, type ImageFile, kindOf, putTogether, takeApart } from "./image_file.ts";
import { parentPath } from "../../images/path.ts";
import type { Random } from "./random.ts";
import { allFields, type Field } from "./wire.ts";

/** The images of a checkpoint: names to contents. */
export type Images = ReadonlyMap<string, Uint8Array>;

/** What stands in the place of a file: other contents, nothing, or something that is no file. */
export type Change = Uint8Array | "missing" | "directory" | "fifo" | "link" | "circle";

/** A hostile directory: what is changed of which images, and how, for people. */
export interface Mutation {
  readonly changes: ReadonlyMap<string, Change>;
  readonly what: readonly string[];
}

const INTEGERS: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 7n, 0x7fn, 0xffn, 0x1000n, 0xffffn, 0x3fffffn, 0x400000n, 0x7fffffffn],
  ...[0x80000000n, 0xfffffffen, 0xffffffffn, 0x100000000n, 1n << 46n, 0x7fff_ffff_f000n],
  ...[(1n << 53n) - 1n, 1n << 53n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n],
];

/** Above so many bytes a file is left as it is: pages, of which no byte decides anything. */
const LARGEST = 1 << 20;

/**
 * Makes a hostile directory of a good one.
 *
 * @param images what to change
 * @param others images of other checkpoints, from which parts may come
 * @param canary a directory with files that nobody may touch, as a part of hostile paths
 */
export function mutate(
  random: Random,
  images: Images,
  others: readonly Images[],
  canary: string,
): Mutation {
  const mutator = new Mutator(random, images, others, canary);
  for (let count = 1 + random.below(3); count > 0; count--) mutator.step();
  return mutator.finish();
}

class Mutator {
  readonly #changes = new Map<string, Change>();
  readonly #what: string[] = [];

  constructor(
    private readonly random: Random,
    private readonly images: Images,
    private readonly others: readonly Images[],
    private readonly canary: string,
  ) {}

  step(): void {
    // The manifest would tell of nearly every change; an attacker writes it anew, or leaves it out.
    for (const name of this.images.keys()) {
      // So does an attacker with what tells parents from others.
      if (!/(^|\/)(manifest|lineage)\.img$/.test(name)) continue;
      if (!this.#changes.has(name) && !this.random.once(20)) this.#changes.set(name, "missing");
    }
    const parents = [...this.images.keys()].filter((name) =>
      /^(parent\/)+inventory.img$/.test(name)
    );
    if (parents.length > 0 && this.random.once(10)) {
      return this.#replace(parentPath(this.random.pick(parents)));
    }
    const name = this.random.pick([...this.images.keys()]);
    const bytes = this.#bytesOf(name);
    const kind = kindOf(name);
    if (bytes === undefined || bytes.length > LARGEST || this.random.once(12)) {
      return this.#wholeFile(name);
    }
    if (kind === undefined || this.random.once(8)) return this.#someBytes(name, bytes);
    let file: ImageFile;
    try {
      file = takeApart(kind, bytes);
    } catch {
      return this.#someBytes(name, bytes); // an earlier step has damaged it
    }
    const what = this.random.once(4) ? this.#entries(name, file) : this.#field(file);
    this.#set(name, putTogether(file), what);
  }

  /** Puts something in the place of a parent. */
  #replace(parent: string): void {
    const { random } = this;
    const how = random.pick(["missing", "directory", "fifo", "link", "circle"] as const);
    this.#set(parent, how, how === "missing" ? how : `a ${how}`);
  }

  finish(): Mutation {
    return { changes: this.#changes, what: this.#what };
  }

  #bytesOf(name: string): Uint8Array | undefined {
    const change = this.#changes.get(name);
    if (change !== undefined) return change instanceof Uint8Array ? change : undefined;
    return this.images.get(name);
  }

  #set(name: string, change: Change, what: string): void {
    // In a parent that is another by now.
    if ([...this.#changes.keys()].some((other) => name.startsWith(`${other}/`))) return;
    this.#changes.set(name, change);
    this.#what.push(`${name}: ${what}`);
  }

  #wholeFile(name: string): void {
    const { random } = this;
    switch (random.below(6)) {
      case 0:
        return this.#set(name, "missing", "missing");
      case 1: {
        const how = random.pick(["directory", "fifo", "link"] as const);
        return this.#set(name, how, `a ${how}`);
      }
      case 2: {
        const other = random.pick([...this.images.keys()]);
        return this.#set(name, this.images.get(other)!, `what was ${other}`);
      }
      case 3: {
        const donor = random.pick(this.others).get(name);
        return donor === undefined
          ? this.#set(name, new Uint8Array(0), "empty")
          : this.#set(name, donor, "that of another checkpoint");
      }
      case 4: {
        const twin = name.replace(/\d+(?=\.img$)/, (id) => String(Number(id) + 1));
        return this.#set(twin, this.images.get(name)!, `a copy of ${name}`);
      }
      default: {
        const bytes = this.images.get(name)!;
        return this.#set(name, bytes.slice(0, random.below(bytes.length + 1)), "cut");
      }
    }
  }

  #someBytes(name: string, bytes: Uint8Array): void {
    const { random } = this;
    const changed = bytes.slice();
    if (changed.length === 0 || random.once(6)) {
      const more = new Uint8Array(changed.length + 1 + random.below(64));
      more.set(changed);
      return this.#set(name, more, "longer");
    }
    for (let count = 1 + random.below(4); count > 0; count--) {
      changed[random.below(changed.length)] = random.below(256);
    }
    this.#set(name, changed, "other bytes");
  }

  /** Drops, doubles or moves an entry, or takes one of another checkpoint. */
  #entries(name: string, { kind, frames }: ImageFile): string {
    const { random } = this;
    const at = random.below(frames.length + 1);
    const copy = (frame: Frame): Frame => structuredClone(frame);
    switch (frames.length === 0 ? 3 : random.below(5)) {
      case 0:
        frames.splice(Math.min(at, frames.length - 1), 1);
        return "an entry less";
      case 1:
        frames.splice(at, 0, copy(random.pick(frames)));
        return "an entry twice";
      case 2: {
        const [taken] = frames.splice(random.below(frames.length), 1);
        frames.splice(random.below(frames.length + 1), 0, taken as Frame);
        return "an entry elsewhere";
      }
      case 3: {
        const donor = random.pick(this.others).get(name);
        if (donor === undefined) return "as it was";
        const more = takeApart(kind, donor).frames;
        if (more.length > 0) frames.splice(at, 0, copy(random.pick(more)));
        return "an entry of another checkpoint";
      }
      default: {
        const one = copy(random.pick(frames));
        const fields = [...allFields(one.fields)];
        if (fields.length > 0) this.#change(random.pick(fields).field);
        frames.splice(at, 0, one);
        return "an entry twice, once changed";
      }
    }
  }

  /** Changes one field of a message, or drops or doubles it. */
  #field({ frames }: ImageFile): string {
    const { random } = this;
    if (frames.length === 0) return "as it was";
    const frame = random.pick(frames);
    const found = [...allFields(frame.fields)];
    if (frame.extra.length > 0 && random.once(6)) {
      frame.extra = frame.extra.slice(0, random.below(frame.extra.length));
      return "what follows a message is cut";
    }
    if (found.length === 0) return "as it was";
    const { field, list } = random.pick(found);
    if (random.once(8)) {
      list.splice(list.indexOf(field), 1);
      return `field ${field.number} is missing`;
    }
    if (random.once(8)) {
      list.splice(random.below(list.length + 1), 0, structuredClone(field));
      return `field ${field.number} is there twice`;
    }
    return this.#change(field);
  }

  #change(field: Field): string {
    if (typeof field.value === "bigint") field.value = this.#integer(field.value);
    else if (field.value instanceof Uint8Array) field.value = this.#bytes(field.value);
    else if (this.random.once(2)) field.value = [];
    else field.value = [...field.value, ...structuredClone(field.value)];
    const shown = typeof field.value === "bigint" ? ` = ${field.value}` : "";
    return `field ${field.number}${shown} is another`;
  }

  #integer(value: bigint): bigint {
    const { random } = this;
    switch (random.below(5)) {
      case 0:
        return BigInt.asUintN(64, value + (random.once(2) ? 1n : -1n));
      case 1:
        return BigInt.asUintN(64, value ^ (1n << BigInt(random.below(64))));
      case 2: {
        // What means something elsewhere: an id, an address, a size.
        const name = random.pick([...this.images.keys()]);
        const bytes = this.images.get(name)!;
        const kind = bytes.length > LARGEST ? undefined : kindOf(name);
        if (kind === undefined) return BigInt(random.bits());
        const { frames } = takeApart(kind, bytes);
        const integers = frames.flatMap(({ fields }) =>
          [...allFields(fields)].map(({ field }) => field.value).filter((one) =>
            typeof one === "bigint"
          )
        );
        return integers.length === 0 ? 0n : random.pick(integers);
      }
      default:
        return random.pick(INTEGERS);
    }
  }

  #bytes(value: Uint8Array): Uint8Array {
    const { random, canary } = this;
    const text = (text: string): Uint8Array => new TextEncoder().encode(text);
    switch (random.below(4)) {
      case 0: {
        const changed = value.slice(0, random.below(value.length + 1));
        if (changed.length > 0) changed[random.below(changed.length)] = random.below(256);
        return changed;
      }
      case 1: {
        const longer = new Uint8Array(value.length + random.pick([1, 4, 8, 128, 5000]));
        longer.set(value);
        return longer;
      }
      case 2:
        return random.pick([
          new Uint8Array(0),
          Uint8Array.of(0),
          Uint8Array.of(0xff, 0xfe, 0x80),
          text(`\0${"n".repeat(200)}`),
        ]);
      default:
        return text(random.pick([
          ...["/", "..", ".", "../..", "/..", "/dev/null", "/dev/zero", "/proc/self/mem", "canary"],
          `${canary}/file`,
          `${canary}/socket`,
          `${canary}/directory`,
          `${canary}/none`,
          `${canary}/none/../file`,
          `${canary}/directory/../../${canary.split("/").at(-1)}/file`,
          `${canary}/file/`,
          `${canary}/none/deeper/file`,
          `/${"a".repeat(5000)}`,
          `${canary}/\0`,
          canary,
        ]));
    }
  }
}
