/**
 * Programs that run in the threads of one task, and what came of them.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { offsetAddress, type RemoteAddress } from "../linux/address.ts";
import type { ProcessMemory } from "../linux/memory.ts";
import type { ProgramImage, ProgramReply, SyscallProgram } from "./program.ts";
import type { Tracee } from "./tracee.ts";

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

  constructor(
    pid: number,
    memory: ProcessMemory,
    base: RemoteAddress,
    images: readonly PlacedRun[],
  ) {
    this.#pid = pid;
    this.#memory = memory;
    this.#base = base;
    this.#images = images;
  }

  /** Waits for all of them, whatever comes of it: for clearing up after another error. */
  settle(): void {
    for (const { run } of this.#images) run.thread.quiesce();
  }

  /** Waits for all of them and reads their results. @throws {StasisError} `syscall` if a required call failed */
  finish(): ProgramReply[] {
    const replies = this.replies();
    for (const reply of replies) throwIfFailed(reply, this.#pid);
    return replies;
  }

  /** Waits for all of them and reads their results, also where a required call failed. */
  replies(): ProgramReply[] {
    for (const { run } of this.#images) run.thread.awaitEnd(run.program.purpose);
    return this.#images.map(({ image, at }) => {
      const base = offsetAddress(this.#base, at);
      const size = image.size - image.entriesAt;
      return image.reply(this.#memory.read(offsetAddress(base, image.entriesAt), size), base);
    });
  }
}

/** @throws {StasisError} `syscall` if a required call of a program failed, or what the call itself says */
export function throwIfFailed(reply: ProgramReply, pid: number): void {
  if (reply.failed === undefined) return;
  const { name, expect, explain } = reply.program
    .calls[reply.failed] as SyscallProgram["calls"][number];
  const line = reply.describe(reply.failed);
  const errno = /= -1 (\w+)$/.exec(line)?.[1];
  const explained = errno === undefined ? undefined : explain?.(errno);
  if (explained !== undefined) throw explained;
  const wanted = expect === undefined || errno !== undefined ? "" : `, not ${expect}`;
  throw new StasisError("syscall", `${reply.program.purpose}: task ${pid}: ${line}${wanted}`, {
    pid,
    errno,
    hint: errno === "ENOSYS" ? `this kernel has no ${name}` : undefined,
  });
}
