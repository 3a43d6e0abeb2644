/**
 * Reads an image directory. Each file is read when it is asked for, decoded once, and counts as hostile.
 *
 * @module
 */

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { StasisError } from "../base/errors.ts";
import { BLOCK_SIZE, checksumsOf, type Crc32, crc32ByTables, FileChecksums } from "./checksum.ts";
import { type ByteSource, FileSource, MemorySource } from "./byte_source.ts";
import {
  type DecodedImage,
  decodeImage,
  type ImageEntry,
  type LocatedEntry,
  type LocatedImage,
  locateImage,
} from "./codec.ts";
import type { manifest_entry } from "./gen/manifest_pb.ts";
import { ioError } from "../base/io_error.ts";
import { MANIFEST } from "./kinds/manifest.ts";
import {
  imageFileName,
  type ImageId,
  imageIdOf,
  type ImageKind,
  type RawImageKind,
} from "./kind.ts";
import { decodePagemap, type Pagemap } from "./pagemap.ts";
import { imageNames, PARENT } from "./parent.ts";
import { isPartialName } from "./partial.ts";
import { absolutePath, lastName } from "./path.ts";
import type { Remembered } from "./remembered.ts";
import type { SmallFiles } from "./small_files.ts";
import { uniqueById } from "./unique.ts";
import type { ListKind, SingleKind } from "./writer.ts";

/** What is not larger is read whole, and compared with its checksums; of others a part is in memory at a time. */
const MOST_IN_MEMORY = 1 << 26;

/** Nothing larger is read by who wants what follows the messages too: {@link ImageDirectory.locate} is for that. */
const MOST_AT_ONCE = 1 << 30;

const DAMAGED =
  "the directory is damaged: make the checkpoint again; if you have edited images on purpose, delete manifest.img";

/** An image whose messages nothing follows. */
function withoutPlaces<Schema extends DescMessage>(
  { head, entries }: LocatedImage<Schema>,
): DecodedImage<Schema> {
  return { head, entries: entries.map(({ message }) => ({ message })) };
}

/** @throws {StasisError} `bad-image` if an entry cannot be of a file in its directory, or has other checksums than one */
function checkEntry({ name, size, blockSize, crc32 }: manifest_entry, path: string): void {
  const inside = name.startsWith(`${PARENT}/`) ? name.slice(PARENT.length + 1) : name;
  if (inside === "" || inside === "." || inside === ".." || inside.includes("/")) {
    throw new StasisError("bad-image", `${path} names "${name}", which is no image`);
  }
  if (crc32.length === 0) return;
  const blocks = (size + BigInt(BLOCK_SIZE) - 1n) / BigInt(BLOCK_SIZE);
  if (blockSize === BLOCK_SIZE && BigInt(crc32.length) === blocks) return;
  throw new StasisError("bad-image", `${path} has other checksums of ${name} than it can have`, {
    hint: "the directory is damaged: make the checkpoint again",
  });
}

/** The length of a block, in bytes: the last one is shorter. */
function blockLength({ size }: manifest_entry, block: number): bigint {
  const left = size - BigInt(block) * BigInt(BLOCK_SIZE);
  return left < BigInt(BLOCK_SIZE) ? left : BigInt(BLOCK_SIZE);
}

/** @throws {StasisError} `bad-image` if a block is not what it was when it was written */
function compareBlock(directory: string, entry: manifest_entry, block: number, sum: number): void {
  if (entry.crc32[block] === sum) return;
  const start = BigInt(block) * BigInt(BLOCK_SIZE);
  const end = start + blockLength(entry, block);
  throw new StasisError(
    "bad-image",
    `the image ${entry.name} in ${directory} is damaged between bytes ${start} and ${end}: ` +
      "its checksum is another than when it was written",
    { hint: DAMAGED },
  );
}

/** How an {@link ImageDirectory} is read. */
export interface ImageDirectoryOptions {
  /**
   * Files that are to be there and are not yet, or not as they will be: a checkpoint looks at its own images before
   * they are complete. What makes one is called whenever it is read.
   */
  readonly unwritten?: ReadonlyMap<string, () => Uint8Array>;
  /** Makes checksums; by tables where absent. */
  readonly crc32?: Crc32;
  /** What has been made of images of the same chain; {@link ImageDirectory.openOther} hands it on. */
  readonly remembered?: Remembered;
  /** A quicker way to small files than Deno's, if there is one. */
  readonly small?: SmallFiles;
}

/** What has been read of files, by their ids and names. */
class Kept<Content> {
  readonly #byId = new Map<ImageId, Map<string, Content>>();

  /** @param read is called where there is nothing yet */
  get(id: ImageId, name: string, read: () => Content): Content {
    let ofId = this.#byId.get(id);
    let content = ofId?.get(name);
    if (content !== undefined) return content;
    content = read();
    if (ofId === undefined) this.#byId.set(id, ofId = new Map());
    ofId.set(name, content);
    return content;
  }

  /** @param names those that are meant; all of the id where absent */
  forget(id: ImageId, names?: readonly string[]): void {
    if (names === undefined) this.#byId.delete(id);
    for (const name of names ?? []) this.#byId.get(id)?.delete(name);
  }
}

/** An image directory that exists and has an inventory. */
export class ImageDirectory {
  /** Where it is, absolute. */
  readonly path: string;
  /** What has been made of images of the same chain, where somebody keeps it. */
  readonly remembered: Remembered | undefined;
  readonly #names: ReadonlySet<string>;
  readonly #unwritten: ReadonlyMap<string, () => Uint8Array>;
  readonly #crc32: Crc32;
  readonly #small: SmallFiles | undefined;
  #manifest: ReadonlyMap<string, manifest_entry> | undefined;
  readonly #decoded = new Kept<DecodedImage>();
  readonly #pagemaps = new Kept<Pagemap>();

  private constructor(
    path: string,
    names: ReadonlySet<string>,
    { unwritten = new Map(), crc32 = crc32ByTables, remembered, small }: ImageDirectoryOptions,
  ) {
    this.path = path;
    this.remembered = remembered;
    this.#names = names;
    this.#unwritten = unwritten;
    this.#crc32 = crc32;
    this.#small = small;
  }

  /**
   * Opens an image directory. Its files are listed now and read later.
   *
   * @throws {StasisError} `bad-image` where it is missing, not a directory or not an image directory.
   */
  static open(path: string, options: ImageDirectoryOptions = {}): ImageDirectory {
    const absolute = absolutePath(path);
    const names = new Set(options.unwritten?.keys());
    try {
      for (const name of imageNames(absolute)) names.add(name);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) {
        throw new StasisError("bad-image", `there is no image directory ${absolute}`, { cause });
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
    return new ImageDirectory(absolute, names, options);
  }

  /** Opens another one, which is read as this one is. @throws {StasisError} as {@link open} */
  openOther(path: string): ImageDirectory {
    return ImageDirectory.open(path, {
      crc32: this.#crc32,
      remembered: this.remembered,
      small: this.#small,
    });
  }

  /**
   * Compares the files with the manifest, if there is one: CRIU's directories have none.
   *
   * @throws {StasisError} `bad-image` naming the first file that is missing or has another size
   */
  verify(): void {
    if (!this.has(MANIFEST, null)) return;
    for (const { name, size } of this.manifest.values()) {
      let now = this.#small?.size(`${this.path}/${name}`);
      try {
        now ??= Deno.statSync(`${this.path}/${name}`).size;
      } catch (cause) {
        if (!(cause instanceof Deno.errors.NotFound)) throw ioError(`look at ${name}`, cause);
      }
      if (now !== undefined && BigInt(now) === size) continue;
      throw new StasisError(
        "bad-image",
        now === undefined
          ? `the image ${name} is missing from ${this.path}`
          : `the image ${name} in ${this.path} has ${now} bytes, but was written with ${size}`,
        { hint: DAMAGED },
      );
    }
  }

  /**
   * Compares the contents of all files with the checksums of the manifest.
   *
   * @param step is called between two blocks, with how many bytes are done of how many; it may throw
   * @returns how many bytes were compared
   * @throws {StasisError} `bad-image` naming the file and where in it the first damage is; `unsupported` where there
   * are no checksums, as in CRIU's directories
   */
  async verifyContents(
    step: (done: bigint, total: bigint) => void | Promise<void> = () => {},
  ): Promise<bigint> {
    this.verify();
    const entries = this.manifest;
    const without = [...entries.values()].find(({ size, crc32 }) =>
      size > 0n && crc32.length === 0
    );
    if (entries.size === 0 || without !== undefined) {
      throw new StasisError("unsupported", `the images in ${this.path} have no checksums`, {
        hint: "they were written by CRIU, or by a version of Stasis that made none",
      });
    }
    const total = [...entries.values()].reduce((sum, { size }) => sum + size, 0n);
    let done = 0n;
    for (const entry of entries.values()) {
      const sums = new FileChecksums(`${this.path}/${entry.name}`, this.#crc32);
      let block = 0;
      await sums.advance(Number(entry.size), true, () => {
        compareBlock(this.path, entry, block, sums.sums[block] as number);
        block++;
        done += blockLength(entry, block - 1);
        return step(done, total);
      });
    }
    return total;
  }

  /**
   * The entries of the manifest by the names of the files; none where there is no manifest.
   *
   * @throws {StasisError} `bad-image`
   */
  get manifest(): ReadonlyMap<string, manifest_entry> {
    if (!this.has(MANIFEST, null)) return new Map();
    if (this.#manifest === undefined) {
      const path = `${this.path}/${MANIFEST.file}`;
      // Not by #decode(), which asks the manifest.
      this.#sizeOf(MANIFEST.file);
      using source = new FileSource(path);
      const { entries } = locateImage(MANIFEST, source, path);
      if (entries.length === 0) {
        throw new StasisError("bad-image", `${path} names no image`, {
          hint: "the directory is damaged: make the checkpoint again",
        });
      }
      this.#manifest = uniqueById(
        entries.map(({ message }) => message),
        ({ name }) => name,
        path,
        "image",
      );
      for (const entry of this.#manifest.values()) {
        checkEntry(entry, path);
        // The list has grown as it was read, and has room for more: of thousands of files that is megabytes.
        entry.crc32 = entry.crc32.slice();
      }
    }
    return this.#manifest;
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
   * Reads the messages of an image, but not what follows them, which may be more than fits into memory.
   *
   * @throws {StasisError} As {@link read}.
   */
  locate<Schema extends DescMessage, Id extends ImageId>(
    kind: ImageKind<Schema, Id>,
    id: NoInfer<Id>,
  ): readonly LocatedEntry<Schema>[] {
    const name = imageFileName(kind, id);
    const path = `${this.path}/${name}`;
    return this.#withSource(name, (source) => locateImage(kind, source, path).entries);
  }

  /**
   * Reads a pagemap.
   *
   * @throws {StasisError} As {@link read}.
   */
  readPagemap<Id extends ImageId>(kind: ListKind<DescMessage, Id>, id: NoInfer<Id>): Pagemap {
    const name = imageFileName(kind, id);
    return this.#pagemaps.get(
      id,
      name,
      () => this.#withSource(name, (source) => decodePagemap(kind, source, `${this.path}/${name}`)),
    );
  }

  /**
   * Keeps no longer what has been read of the images of this id, such as a task's: whoever asks for it again has it read
   * again. Of thousands of tasks it is much.
   *
   * @param kinds those that are meant; all where absent
   */
  forget<Id extends ImageId>(id: Id, kinds?: readonly ImageKind<DescMessage, Id>[]): void {
    const names = kinds?.map((kind) => imageFileName(kind, id));
    this.#decoded.forget(id, names);
    this.#pagemaps.forget(id, names);
  }

  #decode<Schema extends DescMessage, Id extends ImageId>(
    kind: ImageKind<Schema, Id>,
    id: NoInfer<Id>,
  ): DecodedImage<Schema> {
    const name = imageFileName(kind, id);
    const path = `${this.path}/${name}`;
    return this.#decoded.get(
      id,
      name,
      () =>
        kind.extra === undefined
          ? this.#withSource(name, (source) => withoutPlaces(locateImage(kind, source, path)))
          : decodeImage(kind, this.#readFile(name), path),
    ) as DecodedImage<Schema>;
  }

  /** Reads a file that is small enough, and compares it with its checksums where it has some. */
  #readFile(name: string): Uint8Array {
    const unwritten = this.#unwritten.get(name);
    if (unwritten !== undefined) return unwritten();
    const path = `${this.path}/${name}`;
    const size = this.#sizeOf(name);
    if (size > MOST_AT_ONCE) {
      throw new StasisError("bad-image", `${path} is too large to be read at once: ${size} bytes`);
    }
    let bytes: Uint8Array;
    try {
      bytes = this.#small?.read(path, size) ?? Deno.readFileSync(path);
    } catch (cause) {
      throw ioError(`read ${path}`, cause);
    }
    const entry = this.manifest.get(name);
    if (entry !== undefined && entry.crc32.length > 0 && BigInt(bytes.length) === entry.size) {
      checksumsOf(bytes, this.#crc32).forEach((sum, block) =>
        compareBlock(this.path, entry, block, sum)
      );
    }
    return bytes;
  }

  /** Reads a file, of which only a part is in memory at a time where it is large. */
  #withSource<Result>(name: string, read: (source: ByteSource) => Result): Result {
    if (this.#unwritten.has(name) || this.#sizeOf(name) <= MOST_IN_MEMORY) {
      return read(new MemorySource(this.#readFile(name)));
    }
    using source = new FileSource(`${this.path}/${name}`);
    return read(source);
  }

  /** The size of a file. @throws {StasisError} `bad-image` if there is none */
  #sizeOf(name: string): number {
    const path = `${this.path}/${name}`;
    const quick = this.#small?.size(path);
    if (quick !== undefined) return quick;
    let info: Deno.FileInfo;
    try {
      info = Deno.statSync(path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) {
        throw new StasisError("bad-image", `the image ${name} is missing from ${this.path}`, {
          hint: "the directory is not whole: make the checkpoint again",
          cause,
        });
      }
      throw ioError(`read ${path}`, cause);
    }
    if (!info.isFile) throw new StasisError("bad-image", `${path} is not a file`);
    return info.size;
  }
}
