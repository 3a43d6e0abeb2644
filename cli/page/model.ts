/**
 * All that the page of `stasis inspect --html` shows, as plain data: what the images say, and nothing else. Texts that
 * come from a program are printable here already; what they are shown as is up to `page.js`, which makes no markup.
 *
 * @module
 */
import { printable } from "../../base/byte_text.ts";
import {
  VMA_ANON_SHARED,
  VMA_AREA_GUARD,
  VMA_AREA_MEMFD,
  VMA_AREA_SYSVIPC,
  VMA_FILE_SHARED,
} from "../../images/flags.ts";
import type { vma_entry } from "../../images/gen/memory_pb.ts";
import { FILES } from "../../images/kinds/files.ts";
import { MM } from "../../images/kinds/memory.ts";
import { layersOf } from "../../images/layers.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { PARENT } from "../../images/parent.ts";
import { parentPath } from "../../images/path.ts";
import { validFiles } from "../../images/validate_files.ts";
import { readRun, savedMappings } from "../../plugins/memory/saved_memory.ts";
import type { SavedRun } from "../../plugins/memory/saved_pages.ts";
import { describeMapping } from "../inspect/mapping.ts";
import { type InspectedImages, inspectImages, type TaskInfo } from "../inspect/model.ts";
import { choosePages, type Memory } from "./choose_pages.ts";
import { type Graph, graphOf, type Table } from "./graph.ts";

/** A mapping as the page draws it. */
export interface PageMapping {
  readonly start: string;
  readonly end: string;
  readonly size: number;
  readonly permissions: string;
  readonly name: string;
  /** Saved pages in their order: which is the first, how many, and whether they are in common with others since fork(2). */
  readonly runs: readonly (readonly [first: number, count: number, common: 0 | 1])[];
  /** The processes that have mapped the same shared memory or the same file. */
  readonly sharedWith: readonly number[];
}

/** A process as the page shows it. */
export interface PageTask extends Omit<TaskInfo, "mappings"> {
  /** Empty where its memory is another's. */
  readonly mappings: readonly PageMapping[];
}

/** Memory that is on the page. */
export interface PageMemory {
  /** How many pages the images have, of all processes. */
  readonly saved: number;
  /** Those that are here, in the order of `bytes`: process, address in hexadecimal, number of pages. */
  readonly runs: readonly (readonly [pid: number, start: string, pages: number])[];
  /** Their contents one behind the other, deflated (RFC 1951), in base64. */
  readonly bytes: string;
}

/** Everything. */
export interface PageModel extends Omit<InspectedImages, "tasks"> {
  readonly tasks: readonly PageTask[];
  readonly graph: Graph;
  readonly memory: PageMemory;
}

const PAGE_SIZE = 4096n;
/** How many pages are on the page, at most: 8 MiB, which most programs deflate to a fifth. */
export const MOST_PAGES = 2048;

/**
 * Gathers it.
 *
 * @throws {StasisError} `bad-image` where something is missing or damaged; `io`
 */
export async function buildPage(images: ImageDirectory): Promise<PageModel> {
  const inspected = inspectImages(images);
  const files = images.has(FILES, null)
    ? validFiles(images.readList(FILES, null), images.pathOf(FILES, null))
    : new Map();
  const pathOf = (vma: vma_entry) => files.get(Number(vma.shmid))?.reg?.name;
  const owners = inspected.tasks.filter(({ pid }) => images.has(MM, pid));
  const sharers = sharersOf(images, owners);
  const inner = new Set(
    layersOf(images).flatMap((layer) => layer.inner ? [`${layer.images.path}/${PARENT}`] : []),
  );
  const memories: Memory[] = [];
  const tasks = inspected.tasks.map((task): PageTask => {
    if (!images.has(MM, task.pid)) return { ...task, mappings: [] };
    const mm = images.read(MM, task.pid);
    const saved = savedMappings(images, task.pid);
    const places = task.threads.flatMap(({ ip, sp }) => [ip, sp])
      .flatMap((place) => place === undefined ? [] : [BigInt(place)]);
    memories.push({ pid: task.pid, mappings: saved.map(({ runs }) => runs), places });
    const mappings = saved.map(({ vma, runs }): PageMapping => {
      const { start, end, size, permissions, name } = describeMapping(vma, pathOf(vma), mm);
      const key = sharedKey(vma);
      const pids = key === undefined ? [] : [...sharers.get(key) ?? []];
      return {
        start,
        end,
        size: Number(size),
        permissions,
        name,
        runs: runs.map((run) => [
          Number((run.start - vma.start) / PAGE_SIZE),
          Number(run.size / PAGE_SIZE),
          inner.has(parentPath(run.pages)) ? 1 : 0,
        ]),
        sharedWith: pids.filter((pid) => pid !== task.pid),
      };
    });
    return { ...task, mappings };
  });
  const memory = await embed(memories);
  return printableTexts({ ...inspected, tasks, graph: graphOf(tablesOf(tasks), files), memory });
}

/** What a mapping shares with others that map the same. */
function sharedKey({ status, shmid }: vma_entry): string | undefined {
  if ((status & VMA_AREA_GUARD) !== 0) return undefined;
  const kinds = VMA_ANON_SHARED | VMA_AREA_SYSVIPC | VMA_AREA_MEMFD | VMA_FILE_SHARED;
  // What names it is of another kind each: an inode, an id, an open file.
  return (status & kinds) === 0 ? undefined : `${status & kinds} ${shmid}`;
}

function sharersOf(
  images: ImageDirectory,
  owners: readonly TaskInfo[],
): ReadonlyMap<string, ReadonlySet<number>> {
  const sharers = new Map<string, Set<number>>();
  for (const { pid } of owners) {
    for (const vma of images.read(MM, pid).vmas) {
      const key = sharedKey(vma);
      if (key !== undefined) sharers.set(key, (sharers.get(key) ?? new Set()).add(pid));
    }
  }
  return sharers;
}

/** Tables of descriptors, each once. */
function tablesOf(tasks: readonly PageTask[]): Table[] {
  const byOwner = Map.groupBy(tasks, ({ pid, filesOf }) => filesOf ?? pid);
  return [...byOwner.values()].map((users) => ({
    pids: users.map(({ pid }) => pid),
    descriptors: users[0]?.descriptors ?? [],
  }));
}

async function embed(memories: readonly Memory[]): Promise<PageMemory> {
  const chosen = choosePages(memories, MOST_PAGES);
  const count = ({ size }: SavedRun) => Number(size / PAGE_SIZE);
  const bytes = new Uint8Array(
    chosen.reduce((sum, { run }) => sum + Number(run.size), 0),
  );
  let at = 0;
  for (const { run } of chosen) {
    readRun(run, bytes.subarray(at, at + Number(run.size)));
    at += Number(run.size);
  }
  const deflated = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return {
    saved: memories.flatMap(({ mappings }) => mappings.flat()).reduce(
      (sum, run) => sum + count(run),
      0,
    ),
    runs: chosen.map(({ pid, run }) => [pid, `0x${run.start.toString(16)}`, count(run)]),
    bytes: (await new Response(deflated).bytes()).toBase64(),
  };
}

/** Every text of a value with what would not show, or would make other signs show elsewhere, written out. */
export function printableTexts<Value>(value: Value): Value {
  if (typeof value === "string") return printable(value) as Value;
  if (Array.isArray(value)) return value.map(printableTexts) as Value;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, printableTexts(one)]),
  ) as Value;
}
