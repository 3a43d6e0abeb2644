/**
 * A process of an image directory as its core file describes it.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { encodeBytes } from "../../base/byte_text.ts";
import {
  TASK_DEAD,
  TASK_STOPPED,
  VMA_AREA_MEMFD,
  VMA_FILE_PRIVATE,
  VMA_FILE_SHARED,
} from "../../images/flags.ts";
import type { core_entry } from "../../images/gen/thread_pb.ts";
import type { vma_entry } from "../../images/gen/memory_pb.ts";
import type { signal_queue_entry } from "../../images/gen/signals_pb.ts";
import { CORE, PSTREE } from "../../images/kinds/core.ts";
import { FILES } from "../../images/kinds/files.ts";
import { MM } from "../../images/kinds/memory.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { validFiles } from "../../images/validate_files.ts";
import {
  memoryOwner,
  readMemory,
  type SavedMapping,
  savedMappings,
} from "../../plugins/memory/saved_memory.ts";
import { decodeRegisters } from "../../plugins/registers/general.ts";
import { leaderStatuses } from "../inspect/leader.ts";
import { oddNames } from "../inspect/thread_names.ts";
import { type HeadFile, withHeads } from "./heads.ts";
import type { CoreProcess, CoreThread, MappedFile } from "./notes.ts";
import { xsaveArea } from "./xsave_area.ts";

/** A process and its memory. */
export interface ReadProcess {
  readonly process: CoreProcess;
  readonly mappings: readonly SavedMapping[];
}

/** The most of a command line that a core file has room for, and a little more. */
const MOST_ARGS = 128n;

/**
 * Reads it.
 *
 * @throws {StasisError} `usage` where there is no such process in the images, or it is a zombie; `bad-image`
 */
export function readProcess(images: ImageDirectory, pid: number): ReadProcess {
  const entries = images.readList(PSTREE, null);
  const entry = entries.find((one) => one.pid === pid);
  if (entry === undefined) {
    throw new StasisError("usage", `process ${pid} is not in the images`, {
      hint: `one of ${entries.map((one) => one.pid).join(", ")}`,
    });
  }
  const leader = images.read(CORE, pid);
  const { tc } = leader;
  const owner = memoryOwner(images, pid);
  if (tc?.taskState === TASK_DEAD || owner === undefined) {
    throw new StasisError("usage", `process ${pid} is a zombie: it has neither threads nor memory`);
  }
  const others = entry.threads.filter((tid) => tid !== pid);
  const tids = leaderStatuses(images).has(pid) ? others : [pid, ...others];
  const threads = tids.map((tid) => ({ tid, core: images.read(CORE, tid) }));
  const { creds, schedNice } = threads[0]?.core.threadCore ?? {};
  const mm = images.read(MM, owner);
  const files = images.has(FILES, null)
    ? validFiles(images.readList(FILES, null), images.pathOf(FILES, null))
    : new Map();
  const fileOf = ({ shmid }: vma_entry): HeadFile | undefined => {
    const { name: path, buildId } = files.get(Number(shmid))?.reg ?? {};
    return path === undefined ? undefined : { path, buildId };
  };
  const mappings = withHeads(savedMappings(images, owner), fileOf);
  const argsSize = mm.mmArgEnd - mm.mmArgStart;
  const shared = tc?.signalsS;
  return {
    mappings,
    process: {
      pid,
      ppid: entry.ppid,
      pgid: entry.pgid,
      sid: entry.sid,
      uid: creds?.uid ?? 0,
      gid: creds?.gid ?? 0,
      nice: schedNice ?? 0,
      flags: tc?.flags ?? 0,
      signal: tc?.taskState === TASK_STOPPED ? tc.stopSigno : 0,
      comm: oddNames(images).get(pid) ?? tc?.comm ?? "",
      args: argsSize <= 0n ? encodeBytes("") : readMemory(
        images,
        owner,
        mm.mmArgStart,
        Number(argsSize < MOST_ARGS ? argsSize : MOST_ARGS),
      ),
      threads: threads.map(({ tid, core }) => thread(tid, core, shared)),
      auxv: [...mm.mmSavedAuxv, ...mm.auxvRest],
      files: mappedFiles(mappings, fileOf),
    },
  };
}

function thread(
  tid: number,
  { threadInfo, threadCore }: core_entry,
  shared: signal_queue_entry | undefined,
): CoreThread {
  const { gpregs, fpregs } = threadInfo ?? {};
  if (gpregs === undefined || fpregs === undefined) {
    throw new StasisError("bad-image", `the images have no registers of thread ${tid}`);
  }
  return {
    tid,
    registers: new Uint8Array(decodeRegisters(gpregs).words.buffer),
    extended: xsaveArea(fpregs),
    pending: waiting(threadCore?.signalsP) | waiting(shared),
    blocked: threadCore?.blkSigset ?? 0n,
  };
}

/** The signals of a queue as a set. Each begins with its number, a word of 32 bits. */
function waiting(queue: signal_queue_entry | undefined): bigint {
  return (queue?.signals ?? []).reduce((set, { siginfo }) => {
    const number = siginfo[0] ?? 0;
    return number >= 1 && number <= 64 ? set | 1n << BigInt(number - 1) : set;
  }, 0n);
}

function mappedFiles(
  mappings: readonly SavedMapping[],
  fileOf: (vma: vma_entry) => HeadFile | undefined,
): MappedFile[] {
  return mappings.flatMap(({ vma }) => {
    const { start, end, pgoff, status } = vma;
    if ((status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED)) === 0) return [];
    if ((status & VMA_AREA_MEMFD) !== 0) return [];
    const path = fileOf(vma)?.path;
    return path === undefined ? [] : [{ start, end, offset: pgoff, path }];
  });
}
