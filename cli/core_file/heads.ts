/**
 * The first pages of the programs and libraries of a process. The kernel puts them into a core file (bit 4 of
 * coredump_filter, core(5)), so that a debugger knows by their build ids which files they are.
 *
 * @module
 */
import { buildIdNumbers, readBuildId } from "../../core/linux/build_id.ts";
import { VMA_AREA_MEMFD, VMA_FILE_PRIVATE, VMA_FILE_SHARED } from "../../images/flags.ts";
import type { vma_entry } from "../../images/gen/memory_pb.ts";
import type { SavedMapping } from "../../plugins/memory/saved_memory.ts";

const PAGE_SIZE = 4096n;

/** What tells about a file, and what finds out. */
export interface HeadFile {
  readonly path: string;
  /** As images have it ({@link buildIdNumbers}); empty where they have none. */
  readonly buildId: readonly number[];
}

/** The build id that a file has now. */
type BuildIdOf = (path: string) => Uint8Array | undefined;

/**
 * The same mappings with the first page of each file besides, of those that are the same build as at the checkpoint:
 * these pages are in no image, for nobody has written to them.
 *
 * @param fileOf the file behind a mapping of one, if it is known
 */
export function withHeads(
  mappings: readonly SavedMapping[],
  fileOf: (vma: vma_entry) => HeadFile | undefined,
  buildIdOf: BuildIdOf = readBuildId,
): SavedMapping[] {
  const known = new Map<string, boolean>();
  const isSame = ({ path, buildId }: HeadFile): boolean => {
    let same = known.get(path);
    if (same === undefined) {
      const found = buildId.length > 0 ? buildIdOf(path) : undefined;
      same = found !== undefined && String(buildIdNumbers(found)) === String(buildId);
      known.set(path, same);
    }
    return same;
  };
  return mappings.map((mapping) => {
    const { vma, runs } = mapping;
    const isFile = (vma.status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED)) !== 0 &&
      (vma.status & VMA_AREA_MEMFD) === 0;
    if (!isFile || vma.pgoff !== 0n || runs[0]?.start === vma.start) return mapping;
    const file = fileOf(vma);
    if (file === undefined || !isSame(file)) return mapping;
    const head = { start: vma.start, size: PAGE_SIZE, pages: file.path, offset: 0n };
    return { vma, runs: [head, ...runs] };
  });
}
