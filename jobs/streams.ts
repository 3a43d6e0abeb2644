/**
 * The standard streams that a job has from whoever started it, and is given anew by whoever takes it up.
 *
 * @module
 */
import { O, statusFlags } from "../core/linux/fcntl.ts";
import { readFdLink, unlessGone } from "../core/linux/procfs/mod.ts";

const STANDARD_STREAMS = [0, 1, 2];

/** The name of a standard stream of this process, if it is to be given anew (`--external` has them so). */
function streamName(fd: number): string | undefined {
  const link = readFdLink(Deno.pid, fd);
  if (link?.kind === "pipe" || link?.kind === "socket") return link.text;
  if (link?.kind !== "path") return undefined;
  const { isFifo, isFile } = Deno.statSync(`/proc/self/fd/${fd}`);
  // A file that is written to is shared with whoever has opened it, and with what this command says: also when it has
  // been deleted meanwhile, as old logs are.
  const isWritten = (statusFlags(fd) & O.ACCMODE) !== O.RDONLY;
  return isFifo || isFile && isWritten ? link.text : undefined;
}

/**
 * The names of the standard streams of this process that a job has among its own and that it cannot open itself, or not
 * as it has them: pipes (named ones, too), sockets, and files that are written to. A terminal is found without, and what is read is opened
 * again.
 *
 * @param root the job's root, which has inherited them
 */
export function commonStreams(root: number): string[] {
  const names = new Set(STANDARD_STREAMS.flatMap((fd) => streamName(fd) ?? []));
  if (names.size === 0) return [];
  const has = unlessGone(() => STANDARD_STREAMS.map((fd) => readFdLink(root, fd)?.text), []);
  return [...names].filter((name) => has.includes(name));
}
