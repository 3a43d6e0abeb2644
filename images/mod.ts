/**
 * The image format: CRIU's, byte for byte where CRIU has one, and the directory of images as a store.
 *
 * The kinds themselves are in `kinds/`, one file a topic, so that a command loads the schemas it needs;
 * `registry.ts` has all of them.
 *
 * @module
 */

export {
  type DecodedImage,
  decodeImage,
  encodeFile,
  encodeImage,
  type ImageEntry,
  type LocatedEntry,
} from "./codec.ts";
export { ImageDirectory } from "./directory.ts";
export {
  defineImageKind,
  defineRawImageKind,
  type ExtraFormat,
  type ImageId,
  type ImageKind,
  type ImageKindInit,
  type RawImageKind,
} from "./kind.ts";
export { type Pagemap, type PagemapEntry, PE_LAZY, PE_PARENT, PE_PRESENT } from "./pagemap.ts";
export { ImageWriter, type ImageWriterOptions, type ListKind, type SingleKind } from "./writer.ts";
