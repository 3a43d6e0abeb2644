/**
 * Programs that run in the threads of one task, and what came of them.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { offsetAddress, type RemoteAddress } from "../linux/address.ts";
import type { ProcessMemory } from "../linux/memory.ts";
import type { SyscallProgram } from "./program.ts";
import type { ProgramImage } from "./program_image.ts";
import type { ProgramReply } from "./program_reply.ts";
import { Tracee } from "./tracee.ts";

/** A program and the thread that runs it. */
export interface Run {
  /** The thread. */
  readonly thread: Tracee;
  /** The program. */
  readonly program: SyscallProgram;
}

/** A run whose program stands in the target, `at` bytes behind where the programs begin. */
export interface PlacedRun {
  readonly run: Run;
  readonly image: ProgramImage;
  readonly at: number;
}

/** Programs under way in one task. */
export class StartedRuns {
  readonly #pid: number;
  readonly #memory: ProcessMemory;
  readonly #base: RemoteAddress;
  readonly #images: readonly PlacedRun[];
  readonly #onEnd: () => void;
  #hasEnded = false;

  /** @param onEnd is told when all have ended and wait again */
  constructor(
    pid: number,
    memory: ProcessMemory,
    base: RemoteAddress,
    images: readonly PlacedRun[],
    onEnd: () => void,
  ) {
    this.#pid = pid;
    this.#memory = memory;
    this.#base = base;
    this.#images = images;
    this.#onEnd = onEnd;
  }

  /** Waits for all of them, whatever comes of it: for clearing up after another error. */
  settle(): void {
    for (const { run } of this.#images) run.thread.quiesce();
  }

  /** Waits for all of them and reads their results. @throws {StasisError} `syscall` if a required call failed */
  finish(): ProgramReply[] {
    const replies = this.replies();
    replies.forEach((reply, index) => {
      const { run: { thread: { tid } } } = this.#images[index] as PlacedRun;
      throwIfFailed(reply, this.#pid, tid);
    });
    return replies;
  }

  /** Waits for those of many tasks: then {@link finish} of each has nothing to wait for. */
  static awaitAll(started: readonly StartedRuns[]): void {
    const images = started.flatMap((one) => one.#images);
    Tracee.awaitEnds(images.map(({ run }) => [run.thread, run.program.purpose]));
    // Where a program stood the next one comes to stand: should the tool die then, none must still look there.
    Tracee.waitAgainAll(images.map(({ run }) => run.thread));
    for (const one of started) {
      one.#hasEnded = true;
      one.#onEnd();
    }
  }

  /** Waits for all of them and reads their results, also where a required call failed. */
  replies(): ProgramReply[] {
    if (!this.#hasEnded) StartedRuns.awaitAll([this]);
    const [first] = this.#images;
    const last = this.#images.at(-1);
    if (first === undefined || last === undefined) return [];
    // The entries of the first one and all that is behind them.
    const begin = first.at + first.image.entriesAt;
    const bytes = this.#memory.read(
      offsetAddress(this.#base, begin),
      last.at + last.image.size - begin,
    );
    return this.#images.map(({ image, at }) => {
      const readBack = bytes.subarray(at + image.entriesAt - begin, at + image.size - begin);
      return image.reply(readBack, offsetAddress(this.#base, at));
    });
  }
}

/** @throws {StasisError} `syscall` if a required call of a program failed, or what the call itself says */
export function throwIfFailed(reply: ProgramReply, pid: number, tid: number = pid): void {
  if (reply.failed === undefined) return;
  const { name, expect, explain } = reply.program
    .readonlyCalls[reply.failed] as SyscallProgram["readonlyCalls"][number];
  const line = reply.describe(reply.failed);
  const errno = /= -1 (\w+)$/.exec(line)?.[1];
  const explained = explain?.(errno ?? "");
  if (explained !== undefined) throw explained;
  const wanted = expect === undefined || errno !== undefined ? "" : `, not ${expect}`;
  const who = tid === pid ? `task ${pid}` : `thread ${tid} of task ${pid}`;
  throw new StasisError("syscall", `${reply.program.purpose}: ${who}: ${line}${wanted}`, {
    pid,
    errno,
    hint: errno === "ENOSYS" ? `this kernel has no ${name}` : undefined,
  });
}
