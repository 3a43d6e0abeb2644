/**
 * Writes a process of an image directory as an ELF core file. Its memory goes from file to file, a part at a time.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import type { SavedRun } from "../../plugins/memory/saved_pages.ts";
import { checkPagesFiles } from "../../plugins/memory/validate.ts";
import { type NewFile, withNewFile } from "../ui/new_file.ts";
import { layoutCore } from "./elf.ts";
import { coreNotes, encodeNotes } from "./notes.ts";
import { readProcess } from "./read_process.ts";
import { coreSegments } from "./segments.ts";

/** What was written. */
export interface WrittenCore {
  readonly pid: number;
  readonly path: string;
  readonly threads: number;
  /** The size of the file in bytes; where memory was all zeros it has holes. */
  readonly size: bigint;
  /** How many bytes of memory were copied. */
  readonly copied: bigint;
}

/** So much is copied at once, in bytes. */
const PART = 1 << 20;

/**
 * Writes it.
 *
 * @param path a file that does not exist yet; it is for its owner alone, since it has the program's memory
 * @throws {StasisError} `usage`, `exists`, `bad-image`, `io`; there is no file then
 */
export function writeCore(images: ImageDirectory, pid: number, path: string): WrittenCore {
  const { process, mappings } = readProcess(images, pid);
  const { head, contents, size } = layoutCore(
    encodeNotes(coreNotes(process)),
    coreSegments(mappings),
  );
  checkPagesFiles(contents.map(({ source }) => source));
  withNewFile(path, (file) => {
    file.write(head, 0n);
    for (const { offset, source } of contents) copy(source, file, offset);
    file.resize(size);
  });
  const copied = contents.reduce((sum, one) => sum + one.size, 0n);
  return { pid, path, threads: process.threads.length, size, copied };
}

const buffer = new Uint8Array(PART);

function copy({ pages, offset, size }: SavedRun, target: NewFile, at: bigint): void {
  using source = Deno.openSync(pages);
  source.seekSync(offset, Deno.SeekMode.Start);
  for (let done = 0n; done < size;) {
    const left = size - done;
    const count = source.readSync(buffer.subarray(0, left < PART ? Number(left) : PART));
    if (count === null) throw new StasisError("bad-image", `${pages} is cut short`);
    target.write(buffer.subarray(0, count), at + done);
    done += BigInt(count);
  }
}
