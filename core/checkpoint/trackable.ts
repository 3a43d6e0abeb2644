/**
 * Which mappings of a task can be asked for what was written to them.
 *
 * Only anonymous memory counts. Where a page of another private mapping (of a file, of a memfd) is dropped while it is
 * protected, by madvise(2) with MADV_DONTNEED or by truncating the file, the kernel keeps the protection as a marker
 * (PTE_MARKER_UFFD_WP: `zap_install_uffd_wp_if_needed()` of `mm/memory.c`), and PAGEMAP_SCAN tells that like a page that
 * is swapped out and has not been written to, although the file shows there again. Of anonymous memory nothing is left,
 * and a page that is there anew counts as written to.
 *
 * @module
 */
import { type Mapping, type MappingKind, mappingKind, type Vma } from "../linux/procfs/mod.ts";

/** Mappings with less than so many bytes of their own are not worth it. */
const LEAST = 1 << 18;

/** What anonymous memory is called. That of a file has the file's name, whatever lies in it. */
const ANONYMOUS: ReadonlySet<MappingKind> = new Set([
  "anonymous",
  "named-anonymous",
  "heap",
  "stack",
]);

/** Whether a mapping is of no file: what is dropped of it leaves no marker. */
export function isAnonymous(mapping: Mapping): boolean {
  return !mapping.shared && ANONYMOUS.has(mappingKind(mapping));
}

/** Whether a mapping is registered with a userfaultfd, for write protection alone. */
export function isWriteProtected({ flags }: Vma): boolean {
  return flags.has("uw") && !flags.has("um") && !flags.has("ui");
}

/** Whether a mapping can have contents that are the program's, which the kernel does not drop as it likes. */
export function isKept({ flags }: Vma): boolean {
  return flags.has("mw") && !flags.has("dp");
}

/** Whether an anonymous mapping can be tracked; one that is so already is `isWriteProtected()`. */
export function isTrackable(vma: Vma): boolean {
  return isAnonymous(vma) && isKept(vma) && !vma.flags.has("um") && !vma.flags.has("ui");
}

/** Whether it has so much of its own that it is worth it. */
export function isWorthIt(vma: Vma): boolean {
  return isTrackable(vma) && vma.anonymous + vma.swap >= LEAST;
}
