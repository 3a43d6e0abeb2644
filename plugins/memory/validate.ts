/**
 * Checks of memory images before anything is built from them: they may be damaged, or hostile.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoOf } from "../../base/io_error.ts";
import { PAGE_SIZE, TASK_SIZE } from "../../core/linux/address.ts";
import { MAP } from "../../core/linux/mman.ts";
import { VMA_AREA_GUARD, VMA_AREA_VSYSCALL } from "../../images/flags.ts";
import type { mm_entry, vma_entry } from "../../images/gen/memory_pb.ts";
import { isRingEntry } from "./plan_aio.ts";
import type { SavedRun } from "./saved_pages.ts";

/**
 * Checks that mappings are ascending ranges of whole pages in user space.
 *
 * @param file the image's name
 * @throws {StasisError} `bad-image`
 */
export function checkMappings(mm: Pick<mm_entry, "vmas">, file: string): void {
  let end = 0n;
  for (const vma of mm.vmas) {
    if ((vma.status & VMA_AREA_VSYSCALL) !== 0) continue;
    const wrong = vma.start % PAGE_SIZE !== 0n || vma.end % PAGE_SIZE !== 0n ||
      vma.end <= vma.start || vma.end > TASK_SIZE;
    const isGuard = (vma.status & VMA_AREA_GUARD) !== 0;
    if (wrong || (!isGuard && vma.start < end)) {
      const range = `${vma.start.toString(16)}-${vma.end.toString(16)}`;
      throw new StasisError("bad-image", `${file} has an impossible mapping, ${range}`, {
        hint: "the image was changed or written by something else: make the checkpoint again",
      });
    }
    if (!isGuard) end = vma.end;
  }
}

/** The bits of mmap(2)'s flags that say what kind of mapping it is (MAP_TYPE of `include/uapi/linux/mman.h`). */
const MAP_TYPE = 0x0f;

/**
 * Checks that all saved pages are of private mappings, or of rings of io_setup(2). What is written to others goes into files that the plan
 * does not show, and what is written where nothing is mapped into the memory of the tool.
 *
 * @param mm mappings that {@link checkMappings} has seen
 * @param runs ascending
 * @param file the pagemap's path, for errors
 * @throws {StasisError} `bad-image`
 */
export function checkRuns(
  mm: Pick<mm_entry, "vmas">,
  runs: readonly SavedRun[],
  file: string,
): void {
  const vmas = mm.vmas.filter(({ status }) =>
    (status & (VMA_AREA_GUARD | VMA_AREA_VSYSCALL)) === 0
  );
  let index = 0;
  for (const { start, size } of runs) {
    for (let at = start; at < start + size;) {
      while (index < vmas.length && (vmas[index] as vma_entry).end <= at) index++;
      const vma = vmas[index];
      const type = (vma?.flags ?? 0) & MAP_TYPE;
      const isOwn = type !== 0 && (type & MAP.SHARED) === 0 ||
        vma !== undefined && isRingEntry(vma);
      if (vma === undefined || vma.start > at || !isOwn) {
        const where = `at 0x${at.toString(16)}`;
        throw new StasisError("bad-image", `${file} has pages ${where}, where nothing private is`, {
          hint: "the image was changed or written by something else: make the checkpoint again",
        });
      }
      at = vma.end;
    }
  }
}

/**
 * Checks that pages files have all the pages that pagemaps say.
 *
 * @throws {StasisError} `bad-image`
 */
export function checkPagesFiles(runs: readonly SavedRun[]): void {
  const needed = new Map<string, bigint>();
  for (const { pages, offset, size } of runs) {
    if (offset + size > (needed.get(pages) ?? 0n)) needed.set(pages, offset + size);
  }
  for (const [path, size] of needed) checkPagesFile(path, size);
}

function checkPagesFile(path: string, needed: bigint): void {
  let size: bigint;
  try {
    const info = Deno.statSync(path);
    if (!info.isFile) throw new StasisError("bad-image", `${path} is not a file`);
    size = BigInt(info.size);
  } catch (cause) {
    if (cause instanceof StasisError) throw cause;
    const errno = errnoOf(cause);
    throw new StasisError("bad-image", `${path} cannot be read: ${errno ?? String(cause)}`, {
      errno,
      cause,
    });
  }
  if (size >= needed) return;
  throw new StasisError(
    "bad-image",
    `${path} is cut: it has ${size} bytes, and ${needed} bytes of pages should be there`,
    { hint: "make the checkpoint again" },
  );
}
