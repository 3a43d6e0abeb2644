/**
 * The images that are made hostile: real checkpoints of several subjects, made when the run begins.
 *
 * @module
 */
import { imageNames } from "../../images/parent.ts";
import { checkpoint } from "../../mod.ts";
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
    await checkpoint(subject.pid, { directory: path });
    await subject.waitGone();
    this.#images.push(readImages(path));
    this.#names.push(name);
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

/** Reads a whole image directory into memory. */
export function readImages(directory: string): Images {
  const names = imageNames(directory).sort();
  return new Map(names.map((name) => [name, Deno.readFileSync(`${directory}/${name}`)]));
}
