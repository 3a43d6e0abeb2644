/**
 * The flags of mappings without `/proc/PID/smaps`: `maps` tells where they are, and the word that the kernel keeps of
 * each (`core/linux/mapping_words.ts`) what `smaps` said of such a word earlier. What the line `VmFlags` says, and the
 * protection key, depend on that word alone (`show_smap_vma_flags()` of `fs/proc/task_mmu.c`).
 *
 * @module
 */
import type { MappingWords } from "../mapping_words.ts";
import type { Vma } from "./smaps.ts";
import { type Mapping, mappingKind } from "./vma_line.ts";

/** What `smaps` says of a word. */
type Meaning = Pick<Vma, "flags" | "protectionKey">;

/** What has been learnt of words. */
export class KnownFlags {
  /** Undefined of a word of which different things were said. */
  readonly #meanings = new Map<bigint, Meaning | undefined>();

  /**
   * Learns from mappings that were read while their task ran: from those that were the same before and after.
   *
   * @param before the words, read before that; all ascending
   */
  learn(
    before: readonly MappingWords[],
    vmas: readonly Vma[],
    after: readonly MappingWords[],
  ): void {
    const was = new Map(before.map((words) => [words.start, words]));
    const is = new Map(after.map((words) => [words.start, words]));
    for (const { start, end, flags, protectionKey } of vmas) {
      const [one, other] = [was.get(start), is.get(start)];
      if (one?.end !== end || other?.end !== end || one.flags !== other.flags) continue;
      const known = this.#meanings.get(one.flags);
      if (!this.#meanings.has(one.flags)) this.#meanings.set(one.flags, { flags, protectionKey });
      else if (known?.flags !== flags || known.protectionKey !== protectionKey) {
        this.#meanings.set(one.flags, undefined);
      }
    }
  }

  /**
   * Learns from mappings that have got one flag more while their task stood still.
   *
   * @param before the words, read before that; both ascending
   */
  learnFlag(flag: string, before: readonly MappingWords[], after: readonly MappingWords[]): void {
    const was = new Map(before.map((words) => [words.start, words]));
    for (const { start, end, flags: word } of after) {
      const one = was.get(start);
      if (one?.end !== end || this.#meanings.has(word)) continue;
      const meaning = this.#meanings.get(one.flags);
      if (meaning === undefined) continue;
      this.#meanings.set(word, { ...meaning, flags: new Set([...meaning.flags, flag]) });
    }
  }

  /**
   * The mappings of a task that stands still; undefined where something of them is not known. Their sizes are those of
   * `earlier`, or as much as there can be ({@link Vma.rss}).
   *
   * @param mappings as `maps` tells them
   * @param words of the same
   * @param earlier as `smaps` told them while the task ran
   */
  vmas(
    mappings: readonly Mapping[],
    words: readonly MappingWords[],
    earlier: ReadonlyMap<bigint, Vma>,
  ): readonly Vma[] | undefined {
    const vmas: Vma[] = [];
    let next = 0;
    for (const mapping of mappings) {
      const { start, end } = mapping;
      const before = earlier.get(start);
      // It is no mapping of the task's own, and always the same.
      if (mappingKind(mapping) === "vsyscall") {
        if (before === undefined) return undefined;
        vmas.push(before);
        continue;
      }
      const word = words[next++];
      if (word?.start !== start || word.end !== end) return undefined;
      const meaning = this.#meanings.get(word.flags);
      if (meaning === undefined) return undefined;
      const size = Number(end - start);
      // Where it was not written to before it may be by now, which matters of the vDSO.
      const isOther = before?.end !== end || mappingKind(mapping) === "vdso";
      vmas.push({
        ...mapping,
        ...meaning,
        rss: size,
        anonymous: isOther ? size : before.anonymous,
        swap: isOther ? size : before.swap,
      });
    }
    return next === words.length ? vmas : undefined;
  }
}
