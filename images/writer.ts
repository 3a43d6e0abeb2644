/**
 * Writes an image directory that is whole or not there: everything goes into a hidden directory beside the
 * wanted one, the inventory last, and only {@link ImageWriter.commit} gives it its name.
 *
 * @module
 */

import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { StasisError } from "../base/errors.ts";
import { type Crc32, crc32ByTables } from "./checksum.ts";
import { concat, encodeEntry, encodeFile, encodeHead, encodeMessage } from "./codec.ts";
import { FileSums } from "./file_sums.ts";
import type { inventory_entrySchema } from "./gen/inventory_pb.ts";
import type { manifest_entry } from "./gen/manifest_pb.ts";
import { ioError } from "../base/io_error.ts";
import { HeldWrites } from "./held_writes.ts";
import { imageFileName, type ImageId, type ImageKind, type RawImageKind } from "./kind.ts";
import { INVENTORY } from "./kinds/core.ts";
import { LINEAGE } from "./kinds/lineage.ts";
import { MANIFEST } from "./kinds/manifest.ts";
import { encodePagemap, type Pagemap } from "./pagemap.ts";
import { createPartial, type LockDirectory, type Partial, removeAbandoned } from "./partial.ts";
import { linkParent, makeParent, PARENT, removeFile } from "./parent.ts";
import { forgetOutsideNames, noteOutsideName, type OutsideName } from "./outside_names.ts";
import { createFile, ListFile, type NewFile, sizeOf, writeWhole } from "./new_file.ts";
import { absolutePath, parentPath } from "./path.ts";
import type { SmallFiles } from "./small_files.ts";
import { syncEachFile, syncPath } from "./sync.ts";
import { checkTarget } from "./target.ts";

/** How an {@link ImageWriter} does what needs more than Deno. */
export interface ImageWriterOptions {
  /**
   * Puts everything in a directory on the disk, files and names. Where absent, each file is fsynced by itself;
   * syncfs(2) on the directory does it at once.
   */
  readonly sync?: (directory: string) => void | Promise<void>;
  /**
   * Locks the directory while it is in the making. Where absent it is not locked, and what the dead have left beside
   * it stays.
   */
  readonly lock?: LockDirectory;
  /** Takes away a name that one which is dead has made outside, if it is still that file's. */
  readonly removeName?: (name: OutsideName) => void;
  /** Is called while checksums are made, and may throw to end that. */
  readonly step?: () => void | Promise<void>;
  /** Makes the checksums; by tables where absent. */
  readonly crc32?: Crc32;
  /** A quicker way to small files than Deno's, if there is one. */
  readonly small?: SmallFiles;
  /**
   * Where given, an image directory that is there is replaced: gives each of two directories the name of the other, at
   * one moment.
   */
  readonly exchange?: (one: string, other: string) => void;
}

/** A kind with one message a file. */
export type SingleKind<Schema extends DescMessage, Id extends ImageId> = ImageKind<
  Schema,
  Id,
  false
>;
/** A kind with any number of messages a file. */
export type ListKind<Schema extends DescMessage, Id extends ImageId> = ImageKind<Schema, Id, true>;

/** Where {@link ImageWriter.take} finds a file. */
export interface Taken {
  /** The directory. */
  readonly path: string;
  /** What it says of its files, by their names. */
  readonly manifest: ReadonlyMap<string, manifest_entry>;
}

/**
 * An image directory in the making.
 *
 * ```ts ignore
 * await using writer = ImageWriter.create("/tmp/checkpoint");
 * writer.write(CORE, 17, core);
 * writer.append(FILES, null, file);
 * await writer.commit({ imgVersion: IMAGES_VERSION, fdinfoPerId: true });
 * ```
 *
 * Whatever is left without a commit is deleted when the writer is disposed of.
 */
export class ImageWriter implements Disposable, AsyncDisposable {
  /** The directory that is wanted, absolute. */
  readonly target: string;
  /** The directory that is written to until the commit: hidden, beside the target, mode 0700. */
  readonly path: string;
  /** What others that died had left beside it, and what is gone now. */
  readonly removed: readonly string[];
  readonly #lock: Disposable | undefined;
  /** A file that is there from the commit on, and not before. */
  readonly committed: string;
  readonly #sync: (directory: string) => void | Promise<void>;
  readonly #exchange: ((one: string, other: string) => void) | undefined;
  readonly #lists = new Map<string, ListFile>();
  readonly #sums: FileSums;
  readonly #small: SmallFiles | undefined;
  /** What is written by {@link writeHeld}. */
  readonly #held: HeldWrites;
  #hasParent = false;
  /** The memory of what is held back. */
  #owned = new DisposableStack();
  #done = false;

  private constructor(
    target: string,
    { path, lock }: Partial,
    removed: readonly string[],
    options: ImageWriterOptions,
  ) {
    const { sync = syncEachFile, step = () => {}, crc32 = crc32ByTables, exchange } = options;
    this.#small = options.small;
    this.target = target;
    this.path = path;
    this.removed = removed;
    this.#lock = lock;
    this.#sums = new FileSums(crc32, step);
    this.#held = new HeldWrites(path === "" ? Infinity : undefined);
    this.committed = `${target}/${imageFileName(INVENTORY, null)}`;
    this.#sync = sync;
    this.#exchange = exchange;
  }

  /**
   * Begins an image directory.
   *
   * @param target The path that it shall have: nothing, or an empty directory; or what it is to be exchanged for.
   * @throws {StasisError} `exists` where something is there, `usage` where it is a mount point (a directory
   * cannot be renamed onto one), `io` where the parent cannot be written to.
   */
  static create(target: string, options: ImageWriterOptions = {}): ImageWriter {
    const absolute = absolutePath(target);
    const { lock = () => "unsupported", exchange, removeName } = options;
    if (exchange === undefined) checkTarget(absolute);
    const removed = removeAbandoned(absolute, lock, undefined, removeName);
    return new ImageWriter(absolute, createPartial(absolute, lock), removed, options);
  }

  /** One that keeps everything back for ever, and nothing of which comes to a disk. */
  static createNothing(): ImageWriter {
    const writer = new ImageWriter("", { path: "", lock: undefined }, [], {});
    writer.hold();
    return writer;
  }

  /**
   * From now on messages are only kept, and are encoded and written by {@link writeHeld}: while a target stands still
   * there is no time for that. They must not change until then. Of the bytes that follow messages in a list some are
   * kept as well; those that follow single ones are written at once. Of thousands of tasks a part is written earlier: not
   * all of it is to be in memory.
   */
  hold(): void {
    this.#held.hold();
  }

  /**
   * Writes what {@link hold} has held back; what follows is written at once again.
   *
   * @throws {StasisError} as those who gave it
   */
  writeHeld(): void {
    this.#held.writeAll();
  }

  /** Has memory that is to be written from given back by {@link flushLists}, or when this writer is disposed of. */
  own(memory: Disposable): void {
    this.#owned.use(memory);
  }

  /** Writes what {@link hold} has held back, gives memory back that it was written from, and holds back further. */
  relieve(): void {
    this.flushLists();
    this.hold();
  }

  /** Notes a name that is made outside next, until the commit. @throws {StasisError} `io` */
  noteOutside(name: OutsideName): void {
    noteOutsideName(this.path, name);
  }

  #writeOrHold(write: () => void): void {
    this.#checkOpen();
    this.#held.add(write);
  }

  /**
   * Writes an image with one message.
   *
   * @param kind What it is.
   * @param id Which one; null where there is one only.
   * @param message The message, or a plain object with its fields.
   * @param extra What follows it, where the kind has that.
   * @throws {StasisError} `internal` where the message cannot be encoded or the image was written already, `io`.
   */
  write<Schema extends DescMessage, Id extends ImageId>(
    kind: SingleKind<Schema, Id>,
    id: NoInfer<Id>,
    message: MessageInitShape<Schema>,
    extra?: Uint8Array,
  ): void {
    const write = () =>
      this.#writeFile(imageFileName(kind, id), [
        encodeHead(kind),
        encodeEntry(kind, message, extra),
      ]);
    if (extra === undefined) this.#writeOrHold(write);
    else write();
  }

  /**
   * Writes an image with one message, and what follows it piece by piece: there may be more than fits into memory.
   *
   * @param pieces What follows; together they have to have the form that the message announces.
   * @throws {StasisError} As {@link write}, and what `pieces` throws.
   */
  writePieces<Schema extends DescMessage, Id extends ImageId>(
    kind: SingleKind<Schema, Id>,
    id: NoInfer<Id>,
    message: MessageInitShape<Schema>,
    pieces: Iterable<Uint8Array>,
  ): void {
    const name = imageFileName(kind, id);
    const made = this.#open(name);
    this.#sums.addGrowing(name, made.path);
    try {
      writeWhole(made, encodeHead(kind));
      writeWhole(made, encodeMessage(kind.name, kind.schema, create(kind.schema, message)));
      for (const piece of pieces) writeWhole(made, piece);
    } finally {
      made.file.close();
    }
  }

  /**
   * Writes an image with many messages, at once. For kinds with extras use {@link append}.
   *
   * @throws {StasisError} As {@link write}.
   */
  writeList<Schema extends DescMessage, Id extends ImageId>(
    kind: ListKind<Schema, Id>,
    id: NoInfer<Id>,
    messages: Iterable<MessageInitShape<Schema>>,
  ): void {
    this.#writeOrHold(() => {
      const parts = [encodeHead(kind)];
      for (const message of messages) parts.push(encodeEntry(kind, message));
      this.#writeFile(imageFileName(kind, id), parts);
    });
  }

  /**
   * Adds a message to a list image, which the first call creates. Several plugins may add to the same one.
   *
   * @throws {StasisError} As {@link write}.
   */
  append<Schema extends DescMessage, Id extends ImageId>(
    kind: ListKind<Schema, Id>,
    id: NoInfer<Id>,
    message: MessageInitShape<Schema>,
    extra?: Uint8Array,
  ): void {
    if (kind.head !== undefined) {
      throw new StasisError("internal", `${kind.name} images are written whole`);
    }
    if (extra === undefined || !this.#held.isHolding) {
      return this.#writeOrHold(() => this.#addToList(kind, id, message, extra));
    }
    const kept = this.#held.copy(extra);
    if (kept !== undefined) {
      return this.#writeOrHold(() => this.#addToList(kind, id, message, kept));
    }
    // What came before it stands before it in the file.
    this.writeHeld();
    this.#addToList(kind, id, message, extra);
    this.hold();
  }

  #addToList<Schema extends DescMessage, Id extends ImageId>(
    kind: ListKind<Schema, Id>,
    id: NoInfer<Id>,
    message: MessageInitShape<Schema>,
    extra: Uint8Array | undefined,
  ): void {
    const entry = encodeEntry(kind, message, extra);
    const name = imageFileName(kind, id);
    let list = this.#lists.get(name);
    if (list === undefined) {
      list = new ListFile(this.#open(name));
      list.add(encodeHead(kind));
      this.#lists.set(name, list);
    }
    list.add(entry);
  }

  /**
   * Writes a pagemap.
   *
   * @throws {StasisError} As {@link write}.
   */
  writePagemap<Id extends ImageId>(
    kind: ListKind<DescMessage, Id>,
    id: NoInfer<Id>,
    pagemap: Pagemap,
  ): void {
    this.#writeOrHold(() =>
      this.#writeFile(imageFileName(kind, id), [encodePagemap(kind, pagemap)])
    );
  }

  /** Whether a checkpoint before this one is needed to restore it. */
  get hasParent(): boolean {
    return this.#hasParent;
  }

  /**
   * Says that some pages are in a checkpoint before this one: links to it. What the inner parent has is written before
   * that. Once is enough.
   *
   * @param before its directory
   * @param sum what tells it from others: `stateSum()` of `layers.ts`
   * @throws {StasisError} As {@link write}.
   */
  linkParent(before: string, sum: number): void {
    if (this.#hasParent) return;
    this.#hasParent = true;
    this.write(LINEAGE, null, { parentSum: sum });
    this.#writeOrHold(() => linkParent(this.path, before));
  }

  /**
   * Takes a file of another image directory as it is, with its checksums: it has two names then, where the file system
   * knows that.
   *
   * @throws {StasisError} `bad-image` where the manifest there is damaged, `io`
   */
  take(images: Taken, name: string): void {
    this.#checkOpen();
    const from = `${images.path}/${name}`, to = `${this.path}/${name}`;
    try {
      try {
        Deno.linkSync(from, to);
      } catch {
        Deno.copyFileSync(from, to);
      }
    } catch (cause) {
      throw ioError(`take ${from} over`, cause);
    }
    const sums = images.manifest.get(name)?.crc32;
    if (sums !== undefined) this.#sums.addKnown(name, sums);
  }

  /**
   * Creates an empty file of mode 0600 for bytes that somebody else writes.
   *
   * @returns Its path.
   * @throws {StasisError} `internal` where it was created already, `io`.
   */
  createRaw<Id extends ImageId>(kind: RawImageKind<Id>, id: NoInfer<Id>): string {
    const name = imageFileName(kind, id);
    const { file, path } = this.#open(name);
    file.close();
    this.#sums.addGrowing(name, path);
    return path;
  }

  /**
   * Writes an image without frames from memory, which must stay as it is until then ({@link hold}, {@link own}).
   *
   * @throws {StasisError} As {@link write}.
   */
  writeRaw<Id extends ImageId>(kind: RawImageKind<Id>, id: NoInfer<Id>, bytes: Uint8Array): void {
    this.#writeOrHold(() => this.#writeFile(imageFileName(kind, id), [bytes]));
  }

  /**
   * Says how much of a file of {@link createRaw} will not change any more. Its checksums are made now, while the rest
   * is still being written by others; without this they are made when everything is there.
   *
   * @param end in bytes
   * @throws {StasisError} `io`
   */
  async rawWritten<Id extends ImageId>(
    kind: RawImageKind<Id>,
    id: NoInfer<Id>,
    end: bigint,
  ): Promise<void> {
    await this.#sums.advance(imageFileName(kind, id), Number(end));
  }

  /** Makes the checksum of one block of a file of {@link createRaw}, of the bytes that were written there. */
  rawBlock<Id extends ImageId>(
    kind: RawImageKind<Id>,
    id: NoInfer<Id>,
    block: number,
    bytes: Uint8Array,
  ): void {
    this.#sums.addBlock(imageFileName(kind, id), block, bytes);
  }

  /** Says that bytes of a file of {@link createRaw} have become others. @param end the byte behind them */
  rawChanged<Id extends ImageId>(
    kind: RawImageKind<Id>,
    id: NoInfer<Id>,
    start: bigint,
    end: bigint,
  ): void {
    this.#sums.forget(imageFileName(kind, id), Number(start), Number(end));
  }

  /** Takes a file of {@link createRaw} away again, and the inner parent if nothing else is in it. @throws {StasisError} `io` */
  removeRaw<Id extends ImageId>(kind: RawImageKind<Id>, id: NoInfer<Id>): void {
    const name = imageFileName(kind, id);
    this.#sums.remove(name);
    removeFile(this.path, name);
  }

  /**
   * Hands everything that was gathered or held back to the kernel, so that the files can be read. Nothing more is
   * written from memory that was to be given back ({@link own}).
   *
   * @throws {StasisError} `io`
   */
  flushLists(): void {
    this.#checkOpen();
    this.writeHeld();
    for (const list of this.#lists.values()) list.flush();
    this.#owned.dispose();
    this.#owned = new DisposableStack();
  }

  /**
   * Puts what has been written so far on the disk, so that the commit has little left to do.
   *
   * @throws {StasisError} `io`
   */
  async flush(): Promise<void> {
    this.flushLists();
    await this.#sums.finish(this.path);
    await this.#syncAll();
  }

  async #syncAll(): Promise<void> {
    try {
      await this.#sync(this.path);
    } catch (cause) {
      throw ioError(`write ${this.path} to the disk`, cause);
    }
  }

  /**
   * Finishes: writes the inventory, puts everything on the disk and gives the directory its name.
   *
   * @throws {StasisError} `exists` where something has come to be at the target meanwhile, `io`. Nothing is
   * committed then.
   * @returns the size of all files in bytes
   */
  async commit(inventory: MessageInitShape<typeof inventory_entrySchema>): Promise<bigint> {
    this.#checkOpen();
    this.writeHeld();
    for (const [name, list] of this.#lists) {
      list.flush();
      list.close();
      this.#lists.delete(name); // so that a failure of the next one does not close this one again
    }
    await this.#sums.finish(this.path);
    const last = encodeFile(INVENTORY, inventory);
    const manifest = await this.#sums.entries(this.path);
    manifest.push(this.#sums.entryOf(INVENTORY.file, last));
    this.writeList(MANIFEST, null, manifest.sort((a, b) => a.name < b.name ? -1 : 1));
    this.#writeFile(INVENTORY.file, [last]);
    await this.#syncAll();
    this.#rename();
    try {
      syncPath(parentPath(this.target));
    } catch (error) {
      // A name that the next crash may take away is none: it goes where the rest is deleted.
      if (this.#exchange === undefined) Deno.renameSync(this.target, this.path);
      else this.#exchange(this.target, this.path);
      throw error;
    }
    this.#done = true;
    // They belong to the images from now on.
    forgetOutsideNames(this.target);
    if (this.#exchange !== undefined) removeReplaced(this.path);
    this.#lock?.[Symbol.dispose]();
    const described = manifest.reduce((sum, { size = 0n }) => sum + size, 0n);
    return described + BigInt(sizeOf(`${this.target}/${MANIFEST.file}`));
  }

  /** Gives the directory its name. */
  #rename(): void {
    if (this.#exchange !== undefined) return this.#exchange(this.path, this.target);
    try {
      Deno.renameSync(this.path, this.target);
    } catch (cause) {
      checkTarget(this.target);
      throw ioError(`rename ${this.path} to ${this.target}`, cause);
    }
  }

  /** Deletes what was written, unless it was committed. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
    if (this.#done) return;
    this.#done = true;
    if (this.path === "") return;
    for (const list of this.#lists.values()) list.close();
    this.#lists.clear();
    using _ = this.#lock;
    try {
      Deno.removeSync(this.path, { recursive: true });
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw ioError(`delete ${this.path}`, cause);
    }
  }

  /** The same for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this[Symbol.dispose]());
  }

  #checkOpen(): void {
    if (this.#done) {
      throw new StasisError("internal", `the image directory ${this.target} is finished already`);
    }
  }

  #open(name: string): NewFile {
    this.#checkOpen();
    if (this.path === "") throw new StasisError("internal", `the image ${name} has no directory`);
    if (name.startsWith(`${PARENT}/`)) makeParent(this.path);
    return createFile(`${this.path}/${name}`, name);
  }

  #writeFile(name: string, parts: readonly Uint8Array[]): void {
    this.#checkOpen();
    const whole = parts.length === 1 ? parts[0]! : concat(parts);
    const isInParent = name.startsWith(`${PARENT}/`);
    if (isInParent || !this.#small?.create(`${this.path}/${name}`, whole)) {
      const made = this.#open(name);
      try {
        writeWhole(made, whole);
      } finally {
        made.file.close();
      }
    }
    this.#sums.addWhole(name, whole);
  }
}

/** What is left of it counts as abandoned ({@link removeAbandoned}). */
function removeReplaced(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch {
    // The images that took its place are there all the same.
  }
}
