/**
 * Writes the page of an image directory.
 *
 * @module
 */
import type { ImageDirectory } from "../../images/mod.ts";
import { withNewFile } from "../ui/new_file.ts";
import { renderPage } from "./html.ts";
import { buildPage } from "./model.ts";

/** What was written. */
export interface WrittenPage {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
}

/**
 * Writes it.
 *
 * @param path a file that does not exist yet; it is for its owner alone, since it has the program's memory
 * @throws {StasisError} `exists`, `bad-image`, `io`; there is no file then
 */
export async function writePage(images: ImageDirectory, path: string): Promise<WrittenPage> {
  const bytes = new TextEncoder().encode(await renderPage(await buildPage(images)));
  withNewFile(path, (file) => file.write(bytes, 0n));
  return { path, size: bytes.length };
}
