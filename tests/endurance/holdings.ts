/**
 * What processes hold, and whether that grows.
 *
 * @module
 */
import { readProcess } from "../harness/processes.ts";

/**
 * What a process holds. Memory in KiB, without pages of files: how many of these are there after a restore follows from
 * how far it has come since.
 */
export interface Holdings {
  readonly descriptors: number;
  readonly mappings: number;
  readonly threads: number;
  readonly memory: number;
}

/** What a process holds now. */
export function holdings(pid: number): Holdings {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return {
    descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    mappings: Deno.readTextFileSync(`/proc/${pid}/maps`).split("\n").length - 1,
    threads: readProcess(pid)?.threads ?? 0,
    memory: Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1]) +
      Number(/^RssShmem:\s+(\d+)/m.exec(status)?.[1]),
  };
}

/** How much more the target may hold at the end than after a tenth: what its own work makes of it. */
export const TARGETS_OWN: Holdings = { descriptors: 0, mappings: 8, threads: 0, memory: 8 * 1024 };
/**
 * The same of a server whose heap is V8's, which grows by steps: by 12 mappings and 31 MiB in four minutes of requests
 * without any checkpoint (Deno), by 14 mappings from the first requests on (Node.js). One mapping that is left at each
 * checkpoint is more in 40 cycles.
 */
export const V8S_OWN: Holdings = { ...TARGETS_OWN, mappings: 64, memory: 64 * 1024 };
/**
 * The same of a server in Go, whose runtime makes a thread, of some five mappings, where all others wait: one in half a
 * minute of requests to Caddy without any checkpoint.
 */
export const GOS_OWN: Holdings = { ...TARGETS_OWN, threads: 4, mappings: 32 };
/**
 * The same of the tool, whose heap grows and shrinks, in a mapping for each of V8's pages, and so do Deno's pools of
 * threads, by how many calls are under way at once.
 */
export const TOOLS_OWN: Holdings = {
  descriptors: 0,
  mappings: 250,
  threads: 4,
  memory: 64 * 1024,
};

/** What has grown by more than it may. */
export function grown(what: string, early: Holdings, late: Holdings, own: Holdings): string[] {
  const kinds = Object.keys(own) as (keyof Holdings)[];
  return kinds.filter((kind) => late[kind] > early[kind] + own[kind])
    .map((kind) => `${kind} of ${what} grew from ${early[kind]} to ${late[kind]}`);
}

/** The heads of a table, of the target and of the tool. */
export function heads(): string {
  const own = ["descriptors", "mappings", "threads", "memory"];
  return ["round", ...own, ...own].map((head) => head.padStart(12)).join("");
}

/** A line of the table. */
export function line(round: number, target: Holdings, tool: Holdings): string {
  const cells = [target, tool].flatMap(({ descriptors, mappings, threads, memory }) => [
    descriptors,
    mappings,
    threads,
    `${memory} KiB`,
  ]);
  return [round, ...cells].map((cell) => String(cell).padStart(12)).join("");
}
