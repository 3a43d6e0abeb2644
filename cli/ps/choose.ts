/**
 * Which processes of the machine are meant. Pure.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { namedThread } from "../../core/named_thread.ts";
import { parsePid } from "../options.ts";

/** A process of the machine. */
export interface Candidate {
  readonly pid: number;
  readonly comm: string;
  /** Its command line, with spaces between the words. */
  readonly command: string;
  /** Whether it has started this command, itself or through others: what is asked for is in its command line, too. */
  readonly isCaller?: boolean;
  /** Whether it is a thread of the kernel, which is meant only where its id is given. */
  readonly isKernel?: boolean;
}

/**
 * Those that are named by their id, or by a regular expression that their name or command line has.
 *
 * @param words ids and expressions; none: all of them
 * @param processOf tells which process a thread is of; undefined where there is no such thread
 * @throws {StasisError} `usage` where a word is neither an expression nor an id that there can be; `no-such-task` where nobody has an id; `unsupported` where a thread has it that is not the first of its process
 */
export function chooseProcesses(
  all: readonly Candidate[],
  words: readonly string[],
  processOf: (tid: number) => number | undefined,
): Candidate[] {
  if (words.length === 0) return all.filter(({ isKernel = false }) => !isKernel);
  const pids = new Set<number>();
  const expressions: RegExp[] = [];
  for (const word of words) {
    if (!/^\d+$/.test(word)) {
      expressions.push(parseExpression(word));
      continue;
    }
    const pid = parsePid(word);
    if (!all.some((one) => one.pid === pid)) {
      const tgid = processOf(pid);
      if (tgid !== undefined && tgid !== pid) throw namedThread(pid, tgid, "ps");
      throw new StasisError("no-such-task", `there is no process ${pid}`, { pid });
    }
    pids.add(pid);
  }
  return all.filter(({ pid, comm, command, isCaller = false, isKernel = false }) =>
    pids.has(pid) ||
    !isKernel && expressions.some((one) => one.test(comm) || !isCaller && one.test(command))
  );
}

function parseExpression(word: string): RegExp {
  try {
    return new RegExp(word);
  } catch {
    throw new StasisError("usage", `"${word}" is no regular expression`, {
      hint: "put a backslash before signs that mean themselves",
    });
  }
}
