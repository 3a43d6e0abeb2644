/**
 * Who is connected with whom: processes, what their descriptors lead to, and which of that belongs together. Pure.
 *
 * @module
 */
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import { endText, fromWords } from "../../plugins/inet/address.ts";
import type { DescriptorInfo } from "../inspect/model.ts";

/** A table of descriptors, and the processes that have it. */
export interface Table {
  readonly pids: readonly number[];
  readonly descriptors: readonly DescriptorInfo[];
}

/** Something that descriptors lead to. */
export interface GraphObject {
  readonly key: string;
  /** `pipe`, `unix socket` and the like. */
  readonly kind: string;
  /** What it is, and what waits in it. */
  readonly what: string;
}

/** A descriptor of a table of the first process that has it. */
export interface GraphEdge {
  readonly pid: number;
  readonly fds: readonly number[];
  /** The key of the object. */
  readonly object: string;
  /** Which way bytes go: from the process, to it, both; none of what is neither read nor written. */
  readonly direction: "out" | "in" | "both" | "none";
}

/** All that is connected. */
export interface Graph {
  readonly objects: readonly GraphObject[];
  readonly edges: readonly GraphEdge[];
  /** Pairs of keys: the two ends of a connection, what an epoll watches. */
  readonly links: readonly (readonly [from: string, to: string])[];
}

/** Devices that connect nobody: nothing that goes in comes out for another. */
const IDLE = new Set(["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]);

const O_ACCMODE = 3, O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2;

/** What an open file is an end of. */
interface End {
  readonly key: string;
  readonly flags?: number;
  /** The keys of what it is connected to. */
  readonly peers?: readonly string[];
}

/**
 * Makes the graph of what connects something: pipes, fifos, sockets, terminals, memfds and event files, and of the
 * rest what two descriptors of different tables have in common.
 */
export function graphOf(
  tables: readonly Table[],
  files: ReadonlyMap<number, file_entry>,
): Graph {
  const objects = new Map<string, GraphObject>();
  const edges = new Map<
    string,
    { pid: number; fds: number[]; object: string; flags: Set<number> }
  >();
  const holders = new Map<string, Set<number>>();
  const links: (readonly [string, string])[] = [];
  const ends = inetEnds(files);
  tables.forEach(({ pids, descriptors }, table) => {
    const [pid] = pids;
    if (pid === undefined) return;
    for (const { fd, id, kind, what } of descriptors) {
      const file = files.get(id);
      if (IDLE.has(file?.reg?.name ?? "")) continue;
      const end = file === undefined ? undefined : endOf(file, ends);
      const { key, flags, peers = [] } = end ?? { key: `file ${id}` };
      if (!objects.has(key)) {
        objects.set(key, { key, kind, what });
        for (const peer of peers) links.push([key, peer]);
      } else if (objects.get(key)?.what !== what) {
        // Two ends of one pipe say the same but for the way.
        objects.set(key, { key, kind, what: commonPart(objects.get(key)?.what ?? "", what) });
      }
      holders.set(key, (holders.get(key) ?? new Set()).add(table));
      const edge = edges.get(`${pid} ${key}`) ?? { pid, fds: [], object: key, flags: new Set() };
      edge.fds.push(fd);
      if (flags !== undefined) edge.flags.add(flags & O_ACCMODE);
      edges.set(`${pid} ${key}`, edge);
    }
  });
  const connects = (key: string) =>
    !key.startsWith("file ") && !key.startsWith("path ") || (holders.get(key)?.size ?? 0) > 1;
  const shown = [...objects.values()].filter(({ key }) => connects(key));
  const keys = new Set(shown.map(({ key }) => key));
  const seen = new Set<string>();
  return {
    objects: shown,
    edges: [...edges.values()].filter(({ object }) => keys.has(object))
      .map(({ pid, fds, object, flags }) => ({ pid, fds, object, direction: directionOf(flags) })),
    links: links.filter(([from, to]) => {
      const both = [from, to].sort().join("\0");
      if (from === to || !keys.has(from) || !keys.has(to) || seen.has(both)) return false;
      seen.add(both);
      return true;
    }),
  };
}

function endOf(file: file_entry, inet: ReadonlyMap<string, string>): End | undefined {
  const { reg, pipe, fifo, usk, isk, tty, memfd, efd, epfd } = file;
  if (pipe !== undefined) return { key: `pipe ${pipe.pipeId}`, flags: pipe.flags };
  if (fifo !== undefined) return { key: `fifo ${fifo.pipeId}`, flags: O_RDWR };
  if (usk !== undefined) {
    return {
      key: `socket ${usk.ino}`,
      flags: O_RDWR,
      peers: usk.peer === 0 ? [] : [`socket ${usk.peer}`],
    };
  }
  if (isk !== undefined) {
    const { family, srcAddr, srcPort, dstAddr, dstPort } = isk;
    const peer = inet.get(
      connection(family, dstAddr, dstPort, srcAddr, srcPort),
    );
    return { key: `socket ${isk.ino}`, flags: O_RDWR, peers: peer === undefined ? [] : [peer] };
  }
  if (tty !== undefined) return { key: `terminal ${tty.ttyInfoId}`, flags: tty.flags };
  if (memfd !== undefined) return { key: `memfd ${memfd.inodeId}`, flags: memfd.flags };
  if (efd !== undefined) return { key: `eventfd ${file.id}`, flags: O_RDWR };
  if (epfd !== undefined) return { key: `epoll ${file.id}` };
  if (reg !== undefined) return { key: `path ${reg.name}`, flags: reg.flags };
  return undefined;
}

/** Connected sockets by both of their addresses. */
function inetEnds(files: ReadonlyMap<number, file_entry>): ReadonlyMap<string, string> {
  const ends = new Map<string, string>();
  for (const { isk } of files.values()) {
    if (isk === undefined || isk.dstPort === 0) continue;
    const { family, srcAddr, srcPort, dstAddr, dstPort, ino } = isk;
    ends.set(connection(family, srcAddr, srcPort, dstAddr, dstPort), `socket ${ino}`);
  }
  return ends;
}

function connection(
  family: number,
  source: readonly number[],
  sourcePort: number,
  target: readonly number[],
  targetPort: number,
): string {
  const text = (words: readonly number[], port: number) => endText(fromWords(family, words), port);
  return `${text(source, sourcePort)} ${text(target, targetPort)}`;
}

function directionOf(flags: ReadonlySet<number>): GraphEdge["direction"] {
  const reads = flags.has(O_RDONLY) || flags.has(O_RDWR);
  const writes = flags.has(O_WRONLY) || flags.has(O_RDWR);
  if (reads && writes) return "both";
  if (reads) return "in";
  return writes ? "out" : "none";
}

/** The parts, two spaces between them, that two descriptions have in common. */
function commonPart(one: string, other: string): string {
  const parts = new Set(other.split("  "));
  return one.split("  ").filter((part) => parts.has(part)).join("  ");
}
