/**
 * Which parts of a process's memory go into a core file. Pure.
 *
 * @module
 */
import {
  VMA_AREA_MEMFD,
  VMA_AREA_VSYSCALL,
  VMA_AREA_VVAR,
  VMA_FILE_PRIVATE,
  VMA_FILE_SHARED,
} from "../../images/flags.ts";
import type { SavedMapping } from "../../plugins/memory/saved_memory.ts";
import type { SavedRun } from "../../plugins/memory/saved_pages.ts";
import type { Piece, Segment } from "./elf.ts";

/**
 * Memory of zeros that is larger is not in the file: some programs map terabytes and touch little, and few file
 * systems have files of that size, holes though they are.
 */
export const MOST_ZEROS = 1n << 32n;

/**
 * The segments of a process.
 *
 * Of a mapped file only what the process has written is in the images: the rest the debugger reads from the file
 * itself, which NT_FILE names, wherever a segment has no contents. Of anonymous memory what is not in the images is
 * zeros, which are holes of the core file.
 */
export function coreSegments(mappings: readonly SavedMapping[]): Segment<SavedRun>[] {
  return mappings.flatMap(({ vma, runs }) => {
    const { start, end, prot, status } = vma;
    // No debugger needs the clock's pages, and they are not saved.
    if ((status & (VMA_AREA_VSYSCALL | VMA_AREA_VVAR)) !== 0) return [];
    const isFile = (status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED)) !== 0 &&
      (status & VMA_AREA_MEMFD) === 0;
    // Memory that may not be touched and never was is only a reservation.
    const isReserved = runs.length === 0 && prot === 0;
    if (isReserved) return [absent(start, end, prot)];
    return isFile || end - start > MOST_ZEROS ? pieceByPiece(start, end, prot, runs) : [{
      start,
      size: end - start,
      prot,
      inFile: true,
      pieces: runs.map((run) => piece(run, start)),
    }];
  });
}

/** What is saved and each gap as a segment of its own. */
function pieceByPiece(
  start: bigint,
  end: bigint,
  prot: number,
  runs: readonly SavedRun[],
): Segment<SavedRun>[] {
  const segments: Segment<SavedRun>[] = [];
  let at = start;
  for (const run of runs) {
    if (run.start > at) segments.push(absent(at, run.start, prot));
    const last = segments.at(-1);
    if (last?.inFile && run.start === at) segments[segments.length - 1] = joined(last, run);
    else {segments.push({
        ...absent(run.start, endOf(run), prot),
        inFile: true,
        pieces: [piece(run, run.start)],
      });}
    at = endOf(run);
  }
  if (at < end) segments.push(absent(at, end, prot));
  return segments;
}

function absent(start: bigint, end: bigint, prot: number): Segment<SavedRun> {
  return { start, size: end - start, prot, inFile: false, pieces: [] };
}

function joined(segment: Segment<SavedRun>, run: SavedRun): Segment<SavedRun> {
  const pieces = [...segment.pieces, piece(run, segment.start)];
  return { ...segment, size: segment.size + run.size, pieces };
}

function endOf({ start, size }: SavedRun): bigint {
  return start + size;
}

function piece(run: SavedRun, start: bigint): Piece<SavedRun> {
  return { at: run.start - start, size: run.size, source: run };
}
