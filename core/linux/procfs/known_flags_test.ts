import { deepEqual, equal } from "@std/assert";
import { KnownFlags } from "./known_flags.ts";
import { parseMaps } from "./maps.ts";
import { parseSmaps, type Vma } from "./smaps.ts";

const LINES = [
  "1000-3000 rw-p 00000000 00:00 0 ",
  "5000-6000 r--s 00000000 00:01 7                         /some/file",
  "7ff000-801000 r-xp 00000000 00:00 0                     [vdso]",
  "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
];
const FLAGS = ["rd wr mr mw me ac", "rd mr me ms", "rd ex mr mw me de", "ex"];
const WORDS = [
  { start: 0x1000n, end: 0x3000n, flags: 0x100073n },
  { start: 0x5000n, end: 0x6000n, flags: 0xd1n },
  { start: 0x7ff000n, end: 0x801000n, flags: 0x40075n },
];
const bytes = (text: string) => new TextEncoder().encode(text);
const maps = (lines = LINES) => parseMaps(bytes(lines.map((line) => `${line}\n`).join("")));

function smaps(flags = FLAGS): readonly Vma[] {
  const block = (line: string, index: number) =>
    `${line}\nRss:                   4 kB\nAnonymous:             4 kB\n` +
    `Swap:                  0 kB\nVmFlags: ${flags[index]} \n`;
  return parseSmaps(bytes(LINES.map(block).join("")));
}

const earlier = (vmas: readonly Vma[]) => new Map(vmas.map((vma) => [vma.start, vma]));

function learnt(vmas = smaps(), after = WORDS): KnownFlags {
  const known = new KnownFlags();
  known.learn(WORDS, vmas, after);
  return known;
}

Deno.test("KnownFlags tells what smaps would tell", () => {
  const before = smaps();
  const vmas = learnt().vmas(maps(), WORDS, earlier(before));
  deepEqual(vmas?.map(({ flags }) => [...flags].join(" ")), FLAGS);
  deepEqual(vmas?.map(({ anonymous, swap }) => [anonymous, swap]), [
    [4096, 0],
    [4096, 0],
    [0x2000, 0x2000], // the vDSO may have been written to
    [4096, 0],
  ]);
  deepEqual(vmas?.map(({ name }) => name), before.map(({ name }) => name));
});

Deno.test("KnownFlags tells of a mapping that is new or has grown that it may be full", () => {
  const known = learnt();
  const grown = [{ ...WORDS[0]!, end: 0x4000n }, ...WORDS.slice(1)];
  const lines = ["1000-4000 rw-p 00000000 00:00 0 ", ...LINES.slice(1)];
  const [first] = known.vmas(maps(lines), grown, earlier(smaps())) ?? [];
  deepEqual([first?.anonymous, first?.rss, first?.swap], [0x3000, 0x3000, 0x3000]);
});

Deno.test("KnownFlags tells of a flag that mappings have got besides", () => {
  const known = learnt();
  const watched = [{ ...WORDS[0]!, flags: WORDS[0]!.flags | 0x1000n }, ...WORDS.slice(1)];
  known.learnFlag("uw", WORDS, watched);
  const told = (words: typeof WORDS) =>
    known.vmas(maps(), words, earlier(smaps()))?.map(({ flags }) => [...flags].join(" "));
  deepEqual(told(watched), [`${FLAGS[0]} uw`, ...FLAGS.slice(1)]);
  deepEqual(told(WORDS), FLAGS);
  const other = { ...WORDS[0]!, flags: 0x5n };
  known.learnFlag("uw", [other], [{ ...other, flags: 0x1005n }]);
  equal(told([{ ...other, flags: 0x1005n }, ...WORDS.slice(1)]), undefined, "of an unknown word");
});

Deno.test("KnownFlags does not guess", () => {
  const vmas = (known: KnownFlags, words = WORDS, lines = LINES) =>
    known.vmas(maps(lines), words, earlier(smaps()));
  const other = (index: number, change: Partial<typeof WORDS[0]>) =>
    WORDS.map((word, at) => at === index ? { ...word, ...change } : word);
  equal(vmas(learnt(), other(0, { flags: 0x100077n })), undefined, "a word that was never seen");
  equal(vmas(learnt(), other(0, { start: 0x2000n })), undefined, "another mapping");
  equal(vmas(learnt(), WORDS.slice(1)), undefined, "a mapping too many");
  equal(vmas(learnt(), WORDS, LINES.slice(1)), undefined, "a word too many");
  const changed = learnt(smaps(), other(0, { flags: 0x200073n }));
  equal(vmas(changed), undefined, "a word that changed while it was learnt");
  const known = learnt();
  known.learn(WORDS, smaps(["rd wr", ...FLAGS.slice(1)]), WORDS);
  equal(vmas(known), undefined, "a word of which two things are said");
  equal(known.vmas(maps(), WORDS, new Map()), undefined, "a vsyscall page that was not there");
});
