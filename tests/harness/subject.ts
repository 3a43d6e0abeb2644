/**
 * A running test subject: started, awaited, asked for its verdict, and cleared away with its tree.
 *
 * Nothing here relies on being the subject's parent after the start, so all of it works as well on a
 * process that somebody restored under the same pid. The dialogue is described in
 * `tests/subjects/subject.h`.
 *
 * @module
 */

import { basename, join } from "node:path";
import { stragglerCount } from "../../core/remote/detach.ts";
import { buildSubject } from "./build.ts";
import { CLOSE_INHERITED } from "./close_inherited.ts";
import { isAlive, processesWithEnv, processTree, readProcess, waitUntil } from "./processes.ts";

/** Where subjects find programs. */
export const SUBJECT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Carries a value of its own into every process of a subject's tree. */
const MARK = "STASIS_TEST_SUBJECT";

/** The test run's own mark (scripts/test/leftovers.ts), by which it finds what tests leave behind. */
const RUN_MARK = "STASIS_TEST_RUN";

/**
 * Closes what was inherited beyond the standard streams (a test runner may have left anything open) and
 * opens the files. exec keeps the pid, and `detached` has made it a session leader.
 */
const LAUNCHER = `
files=$1; shift
${CLOSE_INHERITED}
exec "$@" <"$files/stdin" >>"$files/stdout" 2>>"$files/stderr"
`;

/** How to start a subject. */
export interface SubjectOptions {
  /** Arguments: variants and sizes. */
  readonly args?: readonly string[];
  /** Added to the environment, which is otherwise nearly empty. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory; a fresh temporary one if absent. */
  readonly cwd?: string;
  /** Flags for the compiler beside the usual ones. */
  readonly flags?: readonly string[];
  /** How long to wait for `ready`, in milliseconds. 10 s if absent. */
  readonly timeoutMs?: number;
}

/** What a subject found when it looked at itself. */
export interface Verdict {
  readonly pass: boolean;
  /** Names of the checks that held. */
  readonly ok: readonly string[];
  /** `NAME: REASON` of the checks that did not. */
  readonly failed: readonly string[];
  /** Everything it ever wrote to stdout. */
  readonly output: string;
}

/** A test subject that runs in a session of its own, with regular files as its standard streams. */
export class Subject implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #mark: string;
  readonly #files: string;

  private constructor(
    /** The program, as it was compiled or given. */
    readonly program: string,
    child: Deno.ChildProcess,
    mark: string,
    files: string,
    /** The working directory it was started in. */
    readonly cwd: string,
  ) {
    this.#child = child;
    this.#mark = mark;
    this.#files = files;
  }

  /**
   * Compiles `tests/subjects/NAME.c` if need be, starts it and waits until it is ready.
   *
   * @throws Error when it fails in its set-up, with what it wrote
   */
  static async start(name: string, options: SubjectOptions = {}): Promise<Subject> {
    return await Subject.run(await buildSubject(name, options.flags), options);
  }

  /** Like {@link Subject.start}, for a program that speaks the same dialogue. */
  static async run(program: string, options: SubjectOptions = {}): Promise<Subject> {
    const subject = await Subject.spawn(program, options);
    try {
      await subject.waitReady(options.timeoutMs);
    } catch (error) {
      await subject[Symbol.asyncDispose]();
      throw error;
    }
    return subject;
  }

  /** Starts any program (a shell, an interpreter) in the same surroundings and waits for nothing. */
  static async spawn(program: string, options: SubjectOptions = {}): Promise<Subject> {
    const files = await Deno.makeTempDir({ prefix: "stasis-subject-" });
    const cwd = options.cwd ?? join(files, "cwd");
    if (options.cwd === undefined) await Deno.mkdir(cwd);
    for (const name of ["stdin", "stdout", "stderr"]) {
      await Deno.writeTextFile(join(files, name), "");
    }

    const mark = crypto.randomUUID();
    const child = new Deno.Command("/bin/bash", {
      args: [
        "-c",
        LAUNCHER,
        "launcher",
        files,
        program,
        ...(options.args ?? []),
      ],
      cwd,
      clearEnv: true,
      env: {
        PATH: SUBJECT_PATH,
        HOME: "/root",
        LANG: "C.UTF-8",
        [RUN_MARK]: Deno.env.get(RUN_MARK) ?? "",
        ...options.env,
        [MARK]: mark,
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    const subject = new Subject(program, child, mark, files, cwd);
    // Waiting in the background is what makes Deno reap the child whenever it dies.
    child.status.catch(() => {});
    return subject;
  }

  /** The pid of the root process; the same before and after a restore. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Path of the file that is the subject's stdout. */
  get stdout(): string {
    return join(this.#files, "stdout");
  }

  /** Everything written to stdout so far. */
  output(): string {
    return Deno.readTextFileSync(this.stdout);
  }

  /** Everything written to stderr so far. */
  errors(): string {
    return Deno.readTextFileSync(join(this.#files, "stderr"));
  }

  /** The `key=value` lines printed so far; of a key printed twice the last. */
  get facts(): ReadonlyMap<string, string> {
    const facts = new Map<string, string>();
    for (const line of this.output().split("\n")) {
      const match = /^([A-Za-z_][\w.-]*)=(.*)$/.exec(line);
      if (match) facts.set(match[1]!, match[2]!);
    }
    return facts;
  }

  /** One fact that must be there. */
  fact(name: string): string {
    const value = this.facts.get(name);
    if (value === undefined) throw new Error(`${this.#name} told no ${name}:\n${this.output()}`);
    return value;
  }

  /** Why this kernel or machine cannot run the subject, or null: then the test has nothing to test. */
  get unsupported(): string | null {
    return /^unsupported (.*)$/m.exec(this.output())?.[1] ?? null;
  }

  /** Whether the root process runs (a zombie does not). */
  get alive(): boolean {
    return isAlive(this.pid);
  }

  /** Every live process of the tree, orphans and restored ones too, the root first if it lives. */
  pids(): number[] {
    const marked = processesWithEnv(MARK, this.#mark);
    return marked.sort((a, b) => Number(b === this.pid) - Number(a === this.pid) || a - b);
  }

  /** Waits for the line `ready` (or `unsupported`). */
  async waitReady(timeoutMs = 10_000): Promise<void> {
    await waitUntil(
      () => {
        const said = /^(ready|unsupported .*)$/m.exec(this.output());
        if (said !== null) return this.#hasWritten(said.index + said[0].length);
        if (!this.alive) throw new Error(`${this.#name} died before it was ready:\n${this.#said}`);
        return false;
      },
      () => `${this.#name} to be ready:\n${this.#said}`,
      timeoutMs,
    );
  }

  /**
   * Whether the first task has come back from writing that much: others see what is written a moment before the position
   * of the descriptor is moved (`ksys_write()`, fs/read_write.c).
   *
   * @param size in bytes; what subjects write is ASCII
   */
  #hasWritten(size: number): boolean {
    const proc = `/proc/${this.pid}`;
    try {
      if (Deno.readLinkSync(`${proc}/fd/1`) !== this.stdout) return true;
      const position = /^pos:\s*(\d+)$/m.exec(Deno.readTextFileSync(`${proc}/fdinfo/1`))?.[1];
      return Number(position) >= size;
    } catch {
      // It has ended, or closed it.
      return true;
    }
  }

  /**
   * Sends SIGTERM and waits for the verdict. The sender need not be the parent.
   *
   * @throws Error when the subject is gone or gives no verdict in time, with all it wrote
   */
  async verdict(timeoutMs = 10_000): Promise<Verdict> {
    try {
      Deno.kill(this.pid, "SIGTERM");
    } catch {
      throw new Error(`${this.#name} is gone and can give no verdict:\n${this.#said}`);
    }
    await waitUntil(
      () => {
        // Alive is asked first: what it wrote before it died is then in the file.
        const alive = this.alive;
        if (/^verdict (PASS|FAIL)$/m.test(this.output())) return true;
        if (!alive) throw new Error(`${this.#name} died without a verdict:\n${this.#said}`);
        return false;
      },
      () => `the verdict of ${this.#name}:\n${this.#said}`,
      timeoutMs,
    );
    const output = this.output();
    const failed = [...output.matchAll(/^FAIL (.*)$/gm)].map((match) => match[1]!);
    return {
      pass: /^verdict PASS$/m.test(output) && failed.length === 0,
      ok: [...output.matchAll(/^ok (.*)$/gm)].map((match) => match[1]!),
      failed,
      output,
    };
  }

  /** {@link verdict}, which must be good. */
  async expectPass(timeoutMs?: number): Promise<Verdict> {
    const verdict = await this.verdict(timeoutMs);
    if (!verdict.pass) throw new Error(`${this.#name} is not what it was:\n${this.#said}`);
    return verdict;
  }

  /**
   * Waits until the pid is free again: after a checkpoint that killed the target, say. The direct
   * child is reaped by Deno; orphans of the tree by init, which takes its time.
   */
  async waitGone(timeoutMs = 10_000): Promise<void> {
    await waitUntil(
      () => readProcess(this.pid) === null,
      () => `pid ${this.pid} to be free: ${JSON.stringify(readProcess(this.pid))}`,
      timeoutMs,
    );
  }

  /** Kills every process of the tree, restored ones too, and waits until none is left alive. */
  async kill(): Promise<void> {
    await waitUntil(
      () => {
        const pids = new Set([...this.pids(), ...(this.#isOurs() ? processTree(this.pid) : [])]);
        const alive = [...pids].filter(isAlive);
        for (const pid of alive) {
          try {
            Deno.kill(pid, "SIGKILL");
          } catch {
            // It went by itself.
          }
        }
        return alive.length === 0;
      },
      () => `processes ${this.pids()} of ${this.#name} to die`,
    );
  }

  /** Kills the tree, waits for it, and removes its files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    // A checkpoint in this process may have reaped it first (ECHILD).
    await this.#child.status.catch(() => {});
    // Threads that ended under a freeze are let go of by a timer, which the test runner takes for a leak.
    await waitUntil(() => stragglerCount() === 0, () => "all threads to be let go");
    await Deno.remove(this.#files, { recursive: true }).catch(() => {});
  }

  /**
   * The pid could belong to a stranger by now: only a process with our mark is ours, or a child of this process, whose
   * mark cannot be read while it executes a program or its first thread has ended.
   */
  #isOurs(): boolean {
    return readProcess(this.pid)?.ppid === Deno.pid ||
      processesWithEnv(MARK, this.#mark).includes(this.pid);
  }

  get #name(): string {
    return `${basename(this.program)} (pid ${this.pid})`;
  }

  get #said(): string {
    return this.output() + this.errors();
  }
}
