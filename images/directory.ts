/**
 * Reads an image directory. Each file is read when it is asked for, decoded once, and counts as hostile.
 *
 * @module
 */

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { StasisError } from "../base/errors.ts";
import { type DecodedImage, decodeImage, type ImageEntry } from "./codec.ts";
import { ioError } from "./io_error.ts";
import { MANIFEST } from "./kinds/manifest.ts";
import {
  imageFileName,
  type ImageId,
  imageIdOf,
  type ImageKind,
  type RawImageKind,
} from "./kind.ts";
import { decodePagemap, type Pagemap } from "./pagemap.ts";
import { isPartialName } from "./partial.ts";
import { absolutePath, lastName } from "./path.ts";
import type { ListKind, SingleKind } from "./writer.ts";

/** An image with frames is read whole into memory; one that is larger than this is none of ours. */
const MAX_IMAGE_SIZE = 1 << 30;

/** An image directory that exists and has an inventory. */
export class ImageDirectory {
  /** Where it is, absolute. */
  readonly path: string;
  readonly #names: ReadonlySet<string>;
  readonly #unwritten: ReadonlyMap<string, Uint8Array>;
  readonly #decoded = new Map<string, DecodedImage>();
  readonly #pagemaps = new Map<string, Pagemap>();

  private constructor(
    path: string,
    names: ReadonlySet<string>,
    unwritten: ReadonlyMap<string, Uint8Array>,
  ) {
    this.path = path;
    this.#names = names;
    this.#unwritten = unwritten;
  }

  /**
   * Opens an image directory. Its files are listed now and read later.
   *
   * @param unwritten files that are to be there and are not yet, or not as they will be: a checkpoint looks at its
   * own images before they are complete
   * @throws {StasisError} `bad-image` where it is missing, not a directory or not an image directory.
   */
  static open(
    path: string,
    unwritten: ReadonlyMap<string, Uint8Array> = new Map(),
  ): ImageDirectory {
    const absolute = absolutePath(path);
    const names = new Set(unwritten.keys());
    try {
      for (const entry of Deno.readDirSync(absolute)) names.add(entry.name);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) {
        throw new StasisError("bad-image", `There is no image directory ${absolute}`, { cause });
      }
      if (cause instanceof Deno.errors.NotADirectory) {
        throw new StasisError("bad-image", `${absolute} is not a directory`, {
          hint: "name the directory that the checkpoint was written to",
          cause,
        });
      }
      throw ioError(`read ${absolute}`, cause);
    }
    if (!names.has("inventory.img")) {
      const partial = isPartialName(lastName(absolute));
      throw new StasisError(
        "bad-image",
        `${absolute} is not an image directory: it has no inventory.img`,
        {
          hint: partial
            ? "a checkpoint is writing it, or was killed: the next one beside it deletes it then"
            : "the inventory is written last: the checkpoint did not finish, or this is another directory",
        },
      );
    }
    return new ImageDirectory(absolute, names, unwritten);
  }

  /**
   * Compares the files with the manifest, if there is one: CRIU's directories have none.
   *
   * @throws {StasisError} `bad-image` naming the first file that is missing or has another size
   */
  verify(): void {
    if (!this.has(MANIFEST, null)) return;
    const entries = this.readList(MANIFEST, null);
    if (entries.length === 0) {
      throw new StasisError("bad-image", `${this.path}/manifest.img names no image`, {
        hint: "the directory is damaged: make the checkpoint again",
      });
    }
    for (const { name, size } of entries) {
      let now: number | undefined;
      try {
        now = Deno.statSync(`${this.path}/${name}`).size;
      } catch (cause) {
        if (!(cause instanceof Deno.errors.NotFound)) throw ioError(`look at ${name}`, cause);
      }
      if (now !== undefined && BigInt(now) === size) continue;
      throw new StasisError(
        "bad-image",
        now === undefined
          ? `The image ${name} is missing from ${this.path}`
          : `The image ${name} in ${this.path} has ${now} bytes, but was written with ${size}`,
        {
          hint:
            "the directory is damaged: make the checkpoint again; if you have edited images on " +
            "purpose, delete manifest.img",
        },
      );
    }
  }

  /** The names of all files, sorted. */
  get fileNames(): readonly string[] {
    return [...this.#names].sort();
  }

  /** Whether there is such an image. */
  has<Id extends ImageId>(
    kind: ImageKind<DescMessage, Id> | RawImageKind<Id>,
    id: NoInfer<Id>,
  ): boolean {
    return this.#names.has(imageFileName(kind, id));
  }

  /** The ids of all images of a kind, in ascending order. */
  ids<Id extends ImageId>(kind: ImageKind<DescMessage, Id> | RawImageKind<Id>): Id[] {
    const ids: Id[] = [];
    for (const name of this.#names) {
      const id = imageIdOf(kind, name);
      if (id !== undefined) ids.push(id);
    }
    return ids.sort((a, b) => a === null || b === null || a === b ? 0 : a < b ? -1 : 1);
  }

  /** The path of an image, whether it exists or not. */
  pathOf<Id extends ImageId>(
    kind: ImageKind<DescMessage, Id> | RawImageKind<Id>,
    id: NoInfer<Id>,
  ): string {
    return `${this.path}/${imageFileName(kind, id)}`;
  }

  /**
   * Reads the message of an image that has one.
   *
   * @throws {StasisError} `bad-image` where it is missing or damaged.
   */
  read<Schema extends DescMessage, Id extends ImageId>(
    kind: SingleKind<Schema, Id>,
    id: NoInfer<Id>,
  ): MessageShape<Schema> {
    return this.readEntry(kind, id).message;
  }

  /**
   * Reads the message of an image that has one, with what follows it.
   *
   * @throws {StasisError} As {@link read}.
   */
  readEntry<Schema extends DescMessage, Id extends ImageId>(
    kind: SingleKind<Schema, Id>,
    id: NoInfer<Id>,
  ): ImageEntry<Schema> {
    return this.#decode(kind, id).entries[0]!;
  }

  /**
   * Reads the messages of a list. CRIU leaves out lists that would be empty: ask {@link has} first where
   * that is no fault.
   *
   * @throws {StasisError} As {@link read}.
   */
  readList<Schema extends DescMessage, Id extends ImageId>(
    kind: ListKind<Schema, Id>,
    id: NoInfer<Id>,
  ): MessageShape<Schema>[] {
    return this.#decode(kind, id).entries.map((entry) => entry.message);
  }

  /**
   * Reads the messages of a list, each with what follows it.
   *
   * @throws {StasisError} As {@link read}.
   */
  readEntries<Schema extends DescMessage, Id extends ImageId>(
    kind: ListKind<Schema, Id>,
    id: NoInfer<Id>,
  ): readonly ImageEntry<Schema>[] {
    return this.#decode(kind, id).entries;
  }

  /**
   * Reads a pagemap.
   *
   * @throws {StasisError} As {@link read}.
   */
  readPagemap<Id extends ImageId>(kind: ListKind<DescMessage, Id>, id: NoInfer<Id>): Pagemap {
    const name = imageFileName(kind, id);
    let pagemap = this.#pagemaps.get(name);
    if (pagemap === undefined) {
      pagemap = decodePagemap(kind, this.#readFile(name), `${this.path}/${name}`);
      this.#pagemaps.set(name, pagemap);
    }
    return pagemap;
  }

  #decode<Schema extends DescMessage, Id extends ImageId>(
    kind: ImageKind<Schema, Id>,
    id: NoInfer<Id>,
  ): DecodedImage<Schema> {
    const name = imageFileName(kind, id);
    let image = this.#decoded.get(name);
    if (image === undefined) {
      image = decodeImage(kind, this.#readFile(name), `${this.path}/${name}`);
      this.#decoded.set(name, image);
    }
    return image as DecodedImage<Schema>;
  }

  #readFile(name: string): Uint8Array {
    const unwritten = this.#unwritten.get(name);
    if (unwritten !== undefined) return unwritten;
    const path = `${this.path}/${name}`;
    let info: Deno.FileInfo;
    try {
      info = Deno.statSync(path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) {
        throw new StasisError("bad-image", `The image ${name} is missing from ${this.path}`, {
          hint: "the directory is not whole: make the checkpoint again",
          cause,
        });
      }
      throw ioError(`read ${path}`, cause);
    }
    if (!info.isFile) throw new StasisError("bad-image", `${path} is not a file`);
    if (info.size > MAX_IMAGE_SIZE) {
      throw new StasisError("bad-image", `${path} is too large for an image: ${info.size} bytes`);
    }
    try {
      return Deno.readFileSync(path);
    } catch (cause) {
      throw ioError(`read ${path}`, cause);
    }
  }
}
