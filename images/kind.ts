/**
 * What an image kind is: the file's name, its magic, its messages and what follows them. A plugin owns the
 * kinds that it writes, CRIU's (under `kinds/`, one file a topic) or its own:
 *
 * ```ts ignore
 * export const SUD = defineImageKind({
 *   name: "SUD",
 *   file: "sud.img",
 *   magic: 0x31445553,
 *   schema: sud_entrySchema,
 *   list: true,
 * });
 * ```
 *
 * @module
 */

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { StasisError } from "../base/errors.ts";
import type { ByteSource } from "./byte_source.ts";
import { IMG_COMMON_MAGIC } from "./magic.ts";

/** What tells files of one kind apart: a number, a 64-bit number, or nothing where there is one file. */
export type ImageId = number | bigint | null;

/** The type of the id that a file name template asks for: `%u` and `%x` a number, `%lu` a bigint. */
export type IdOf<File extends string> = File extends `${string}%lu${string}` ? bigint
  : File extends `${string}%${"u" | "x"}${string}` ? number
  : null;

/** The bytes which follow a message and that are no message of this kind. */
export interface ExtraFormat<Message> {
  /**
   * How many bytes follow a message.
   *
   * @param message The message before them.
   * @param rest Everything in the file behind the message; shorter than the result where the file is cut.
   * @returns Their number, or undefined where `rest` does not have the form.
   */
  length(message: Message, rest: ByteSource): number | undefined;
}

/** A kind of image file: framed messages of one schema. */
export interface ImageKind<
  Schema extends DescMessage = DescMessage,
  Id extends ImageId = ImageId,
  List extends boolean = boolean,
> {
  /** The name that `crit` shows, upper case. */
  readonly name: string;
  /** The file name, with `%u`, `%x` or `%lu` in place of the id; `parent/` may stand before it (`parent.ts`). */
  readonly file: string;
  /** The type magic; {@link headMagics} has what stands before it. */
  readonly magic: number;
  /** What stands before the type magic: the common magic, or nothing (the inventory). */
  readonly prefix: "common" | "none";
  /** The messages. */
  readonly schema: Schema;
  /** Whether the file holds any number of messages, or exactly one. */
  readonly list: List;
  /** The first message, where it is another than the others (pagemaps). */
  readonly head?: DescMessage;
  /** What follows each message, if something does. */
  readonly extra?: ExtraFormat<MessageShape<Schema>>;
  /** Where the type of the id is kept; nothing at run time. */
  readonly idType?: Id;
}

/** A kind of image file without frames or magic: pages, archives. */
export interface RawImageKind<Id extends ImageId = ImageId> {
  /** The name of the kind, upper case. */
  readonly name: string;
  /** The file name, as in {@link ImageKind.file}. */
  readonly file: string;
  /** Where the type of the id is kept; nothing at run time. */
  readonly idType?: Id;
}

/** What {@link defineImageKind} takes. */
export interface ImageKindInit<
  Schema extends DescMessage,
  File extends string,
  List extends boolean,
> {
  /** The name of the kind, upper case. */
  readonly name: string;
  /** The file name, with at most one of `%u`, `%x` and `%lu`. */
  readonly file: File;
  /** The type magic, a u32 that no other kind has. */
  readonly magic: number;
  /** What stands before the type magic; `"common"` where absent. */
  readonly prefix?: "common" | "none";
  /** The generated schema of the messages. */
  readonly schema: Schema;
  /** Whether the file holds any number of messages; false where absent. */
  readonly list?: List;
  /** The schema of the first message, where it is another. */
  readonly head?: DescMessage;
  /** What follows each message. */
  readonly extra?: ExtraFormat<MessageShape<Schema>>;
}

/**
 * Describes a kind of image.
 *
 * @throws {StasisError} `internal` where the name of the file or the magic cannot be one.
 */
export function defineImageKind<
  Schema extends DescMessage,
  const File extends string,
  const List extends boolean = false,
>(init: ImageKindInit<Schema, File, List>): ImageKind<Schema, IdOf<File>, List> {
  checkFileName(init.name, init.file);
  if (!Number.isInteger(init.magic) || init.magic <= 0 || init.magic > 0xffffffff) {
    throw new StasisError("internal", `the magic of image kind ${init.name} is not a u32`);
  }
  return { ...init, prefix: init.prefix ?? "common", list: (init.list ?? false) as List };
}

/**
 * Describes a kind of file that holds bytes as they are.
 *
 * @throws {StasisError} `internal` where the name of the file cannot be one.
 */
export function defineRawImageKind<const File extends string>(
  init: { readonly name: string; readonly file: File },
): RawImageKind<IdOf<File>> {
  checkFileName(init.name, init.file);
  return init;
}

function checkFileName(name: string, file: string): void {
  if (!/^(parent\/)?[\w.-]+(%(u|x|lu)[\w.-]*)?$/.test(file)) {
    throw new StasisError("internal", `image kind ${name} has the impossible file name "${file}"`);
  }
}

/** The u32 numbers at the head of a file of this kind. */
export function headMagics(kind: ImageKind): number[] {
  switch (kind.prefix) {
    case "none":
      return [kind.magic];
    case "common":
      return [IMG_COMMON_MAGIC, kind.magic];
  }
}

/**
 * The name of a file.
 *
 * @throws {StasisError} `internal` where the id is not one that the kind takes.
 */
export function imageFileName<Id extends ImageId>(
  kind: ImageKind<DescMessage, Id> | RawImageKind<Id>,
  id: NoInfer<Id>,
): string {
  const placeholder = /%(lu|u|x)/.exec(kind.file);
  const value = idText(placeholder?.[1], id);
  if (value === undefined) {
    throw new StasisError("internal", `${String(id)} is no id for an image of kind ${kind.name}`);
  }
  return placeholder === null ? kind.file : kind.file.replace(placeholder[0], value);
}

/** The id as it stands in a file name, or undefined where it does not fit the placeholder. */
function idText(placeholder: string | undefined, id: ImageId): string | undefined {
  switch (placeholder) {
    case undefined:
      return id === null ? "" : undefined;
    case "u":
    case "x":
      return typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= 0xffffffff
        ? id.toString(placeholder === "x" ? 16 : 10)
        : undefined;
    default:
      return typeof id === "bigint" && id >= 0n && id < 1n << 64n ? id.toString() : undefined;
  }
}

/**
 * The inverse of {@link imageFileName}.
 *
 * @returns The id, or undefined where a file of this name is not of this kind. A number that is written in
 * another way than the one of {@link imageFileName} (leading zeros) is none.
 */
export function imageIdOf<Id extends ImageId>(
  kind: ImageKind<DescMessage, Id> | RawImageKind<Id>,
  fileName: string,
): Id | undefined {
  const placeholder = /%(lu|u|x)/.exec(kind.file);
  if (placeholder === null) return fileName === kind.file ? null as Id : undefined;
  const before = kind.file.slice(0, placeholder.index);
  const after = kind.file.slice(placeholder.index + placeholder[0].length);
  if (!fileName.startsWith(before) || !fileName.endsWith(after)) return undefined;
  const text = fileName.slice(before.length, fileName.length - after.length);
  const id = parseId(placeholder[1], text);
  return id !== undefined && idText(placeholder[1], id) === text ? id as Id : undefined;
}

function parseId(placeholder: string | undefined, text: string): ImageId | undefined {
  switch (placeholder) {
    case "u":
      return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
    case "x":
      return /^[0-9a-f]{1,8}$/.test(text) ? parseInt(text, 16) : undefined;
    default:
      return /^\d{1,20}$/.test(text) ? BigInt(text) : undefined;
  }
}
