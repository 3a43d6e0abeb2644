/**
 * The standard streams that a job has from whoever started it, and is given anew by whoever takes it up.
 *
 * @module
 */
import { readFdLink, unlessGone } from "../core/linux/procfs/mod.ts";

const STANDARD_STREAMS = [0, 1, 2];

/**
 * The names of the standard streams of this process that a job has among its own and that only a process can give it:
 * pipes and sockets (`--external` has them so). A terminal is found without, and a file has a path.
 *
 * @param root the job's root, which has inherited them
 */
export function commonStreams(root: number): string[] {
  const names = new Set<string>();
  for (const fd of STANDARD_STREAMS) {
    const own = readFdLink(Deno.pid, fd);
    if (own?.kind === "pipe" || own?.kind === "socket") names.add(own.text);
  }
  if (names.size === 0) return [];
  const has = unlessGone(
    () => STANDARD_STREAMS.map((fd) => readFdLink(root, fd)?.text),
    [],
  );
  return [...names].filter((name) => has.includes(name));
}
