/**
 * The images that are made hostile: real checkpoints of several subjects, made when the run begins.
 *
 * @module
 */
import { PARENT } from "../../images/parent.ts";
import { checkpoint } from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import type { Images } from "./mutate.ts";

/** Subjects that together have every kind of image. */
const SUBJECTS: readonly (readonly [name: string, ...args: string[]])[] = [
  ["sud_threads", "3"],
  ["pipes"],
  ["fifo"],
  ["ghosts"],
  ["epoll"],
  ["timer_posix"],
  ["timerfd"],
  ["sig_pending"],
  ["signalfd"],
  ["pidfd"],
  ["creds_caps", "threads"],
  ["mem_shared_anon_fork", "2"],
  ["mem_cow", "16"],
  ["mem_memfd"],
  ["mem_file_shared"],
  ["mem_aio"],
  ["mem_extra"],
  ["tree_sessions"],
  ["zombies"],
  ["unix_pairs", "seqpacket"],
  ["unix_service", "stream"],
  ["unix_datagrams"],
  ["unix_rights"],
  ["seccomp_tree"],
  ["task_attrs"],
  ["files_shared_between"],
  ["locks"],
  ["inotify"],
  // With two checkpoints before it.
  ["pages_changing", "64"],
  ["ptys"],
  ["pty_sessions"],
];

/** Images of checkpoints whose trees are gone, but for the files that they had open. */
export class Corpus implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #images: Images[] = [];
  readonly #names: string[] = [];

  private constructor() {}

  /** Makes checkpoints of subjects, which ends them. */
  static async record(directory: string): Promise<Corpus> {
    const corpus = new Corpus();
    try {
      for (const [name, ...args] of SUBJECTS) {
        await corpus.#add(directory, name, args);
      }
      return corpus;
    } catch (error) {
      await corpus[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #add(directory: string, name: string, args: readonly string[]): Promise<void> {
    const subject = this.#stack.use(await Subject.start(name, { args }));
    if (subject.unsupported !== null) return;
    const path = `${directory}/recorded-${name}`;
    let parent: string | undefined;
    if (name === "pages_changing") parent = await this.#addBefore(directory, subject);
    await checkpoint(subject.pid, { directory: path, parent });
    await subject.waitGone();
    this.#images.push(readImages(path));
    this.#names.push(name);
  }

  /** Makes checkpoints of a subject that changes, and with the second step has a child. @returns the last one */
  async #addBefore(directory: string, subject: Subject): Promise<string> {
    let parent: string | undefined;
    for (let number = 1; number <= 2; number++) {
      const path = `${directory}/before-${number}`;
      await checkpoint(subject.pid, { directory: path, parent, leaveRunning: true });
      parent = path;
      Deno.kill(subject.pid, "SIGUSR1");
      await waitUntil(
        () => subject.facts.get("step") === String(number),
        () => `step ${number}: ${subject.output()}`,
      );
    }
    return parent as string;
  }

  /** The images, one checkpoint after the other. */
  get images(): readonly Images[] {
    return this.#images;
  }

  /** The names of their subjects. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Removes the files that the subjects had open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Reads a whole image directory into memory, with those that it needs: `parent/core-1.img`, as `cp -RL` copies them. */
export function readImages(directory: string): Images {
  const images = new Map<string, Uint8Array>();
  const walk = (prefix: string): void => {
    for (const { name } of Deno.readDirSync(`${directory}/${prefix}`)) {
      const path = `${directory}/${prefix}${name}`;
      if (name === PARENT && Deno.statSync(path).isDirectory) walk(`${prefix}${name}/`);
      else images.set(prefix + name, Deno.readFileSync(path));
    }
  };
  walk("");
  return new Map([...images].sort(([one], [other]) => one < other ? -1 : 1));
}
