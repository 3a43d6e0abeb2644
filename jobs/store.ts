/**
 * The store of a job on the disk. What is changed is changed by one rename, after what it names is on the disk and
 * before the name is: after a power cut a store is as it was before, or as it was to be.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { errnoOf, ioError } from "../base/io_error.ts";
import { type FileLock, lockFile } from "../core/linux/flock.ts";
import { imageNames } from "../images/parent.ts";
import { absolutePath } from "../images/path.ts";
import { syncPath } from "../images/sync.ts";
import { needsOf } from "./chain.ts";
import { deletedName, LATEST, newName, readListing, type StoreListing } from "./listing.ts";
import {
  type End,
  type Made,
  type NewFiles,
  type Owner,
  type ProcessName,
  readEnd,
  readMade,
  readNewFiles,
  readOwner,
  readProcessName,
  strangerProblem,
} from "./records.ts";
import { superfluous } from "./retention.ts";

const OWNER = "job.json",
  RUNNING = "running.json",
  NEW = "new.json",
  END = "end.json",
  LOCK = "lock";
/** Written last into an image directory: what has it is whole. */
const INVENTORY = "inventory.img";

/** Looks into a store without changing it. */
export class StoreReader {
  /** Where it is, absolute. */
  readonly path: string;

  constructor(directory: string) {
    this.path = absolutePath(directory);
  }

  /** What is in it. @throws {StasisError} `bad-image` where there is no such directory; `io` */
  list(): StoreListing {
    let names: string[];
    try {
      names = Array.from(Deno.readDirSync(this.path), ({ name }) => name);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) {
        throw new StasisError("bad-image", `there is no store ${this.path}`, {
          hint: "name the directory that was given to stasis run -D",
          cause,
        });
      }
      throw ioError(`list ${this.path}`, cause);
    }
    return readListing(names, this.#link());
  }

  #link(): string | undefined {
    try {
      return Deno.readLinkSync(`${this.path}/${LATEST}`);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound || errnoOf(cause) === "EINVAL") return undefined;
      throw ioError(`read ${this.path}/${LATEST}`, cause);
    }
  }

  /** The image directory of a checkpoint. */
  directoryOf(number: number): string {
    return `${this.path}/${number}`;
  }

  /** Whether a checkpoint is whole. */
  isWhole(number: number): boolean {
    return exists(`${this.directoryOf(number)}/${INVENTORY}`);
  }

  /** Whose it is; undefined where nobody has saved to it yet. @throws {StasisError} `bad-image`, `io` */
  owner(): Owner | undefined {
    return this.#read(OWNER, readOwner);
  }

  /** How the job has ended, if it has. @throws {StasisError} `bad-image`, `io` */
  end(): End | undefined {
    return this.#read(END, readEnd);
  }

  /** The process that the job was when it was started or taken up last. @throws {StasisError} `bad-image`, `io` */
  running(): ProcessName | undefined {
    return this.#read(RUNNING, readProcessName);
  }

  /** What it wrote of which its checkpoints do not know. @throws {StasisError} `bad-image`, `io` */
  newFiles(): NewFiles | undefined {
    return this.#read(NEW, readNewFiles);
  }

  /** How a checkpoint was made; undefined where that was not noted. @throws {StasisError} `bad-image`, `io` */
  made(number: number): Made | undefined {
    return this.#read(`${number}.json`, readMade);
  }

  #read<T>(name: string, parse: (text: string, path: string) => T): T | undefined {
    const path = `${this.path}/${name}`;
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) {
        return undefined;
      }
      throw ioError(`read ${path}`, cause);
    }
    return parse(text, path);
  }
}

/** A store that this process alone saves to. Disposing of it ends that, as its death does. */
export class Store extends StoreReader implements Disposable {
  readonly #lock: FileLock;

  private constructor(directory: string, lock: FileLock) {
    super(directory);
    this.#lock = lock;
  }

  /**
   * Opens a store, and makes it where there is none.
   *
   * @param wanted whose it is to be; where absent it must be there
   * @throws {StasisError} `exists` where somebody else has it, or it is another's; `bad-image`; `io`
   */
  static open(directory: string, wanted?: Owner): Store {
    const path = absolutePath(directory);
    if (wanted !== undefined) makeDirectory(path);
    requireStore(path);
    const lock = lockFile(`${path}/${LOCK}`);
    if (lock === "busy") {
      throw new StasisError("exists", `somebody else saves to ${path} already`, {
        hint:
          "two cannot have one store: wait for the end of the other one, or name another directory",
      });
    }
    using stack = new DisposableStack();
    stack.use(lock);
    const store = new Store(path, lock);
    store.#clearUp();
    if (wanted !== undefined) store.#claim(wanted);
    stack.move();
    return store;
  }

  /**
   * Has processes that are started meanwhile keep others from the store for as long as they live, also when this one is
   * killed: they write to it.
   */
  shared<T>(start: () => T): T {
    return this.#lock.inherited(start);
  }

  #claim(wanted: Owner): void {
    const found = this.owner();
    if (found === undefined) return this.#write(OWNER, wanted);
    const problem = strangerProblem(found, wanted);
    if (problem === undefined) return;
    throw new StasisError("exists", `${this.path} is another job's store: ${problem}`, {
      hint: "name another directory, or delete that one to begin anew",
    });
  }

  /** Finishes what somebody who was killed had begun: deletes what was to go, and names the newest. */
  #clearUp(): void {
    const { leftovers, checkpoints, latest } = this.list();
    for (const name of leftovers) this.#remove(name);
    const newest = checkpoints.filter((number) => this.isWhole(number)).at(-1);
    if (newest !== undefined && newest !== latest) this.#point(newest);
  }

  /**
   * Takes note of a checkpoint that has come to be: it is the latest from now on.
   *
   * @throws {StasisError} `io`: the latest is what it was, or this one
   */
  add(number: number, made: Made): void {
    this.#point(number);
    this.#write(`${number}.json`, made);
  }

  /** Takes note of a checkpoint of which nothing else is known. @throws {StasisError} `io` */
  adopt(number: number): void {
    this.#point(number);
  }

  /** Notes the size of a checkpoint anew, which is another than when it was made. @throws {StasisError} `io` */
  measure(number: number): void {
    const made = this.made(number);
    if (made === undefined) return;
    const directory = this.directoryOf(number);
    let bytes = 0;
    try {
      for (const name of imageNames(directory)) {
        bytes += Deno.lstatSync(`${directory}/${name}`).size;
      }
    } catch (cause) {
      throw ioError(`look at ${directory}`, cause);
    }
    this.#write(`${number}.json`, { ...made, bytes });
  }

  /** Has `latest` lead to a checkpoint that is on the disk. */
  #point(number: number): void {
    const path = `${this.path}/${newName(LATEST)}`;
    try {
      this.#remove(newName(LATEST));
      Deno.symlinkSync(String(number), path);
      Deno.renameSync(path, `${this.path}/${LATEST}`);
    } catch (cause) {
      throw ioError(`write ${this.path}/${LATEST}`, cause);
    }
    syncPath(this.path);
  }

  /** Takes note of the process that the job is now. @throws {StasisError} `io` */
  noteRunning(process: ProcessName): void {
    this.#write(RUNNING, process);
  }

  /** Takes note of what the job writes of which its checkpoints do not know. @throws {StasisError} `io` */
  noteNewFiles(files: NewFiles): void {
    this.#write(NEW, files);
  }

  /**
   * Forgets what was noted of files for a checkpoint that has not come to be: the next one has its number, and is of
   * another moment.
   *
   * @throws {StasisError} `bad-image`, `io`
   */
  forgetUnmade(): void {
    const { lists = [] } = this.newFiles() ?? {};
    const { latest = 0 } = this.list();
    const made = lists.filter(({ checkpoint }) => checkpoint <= latest);
    if (made.length < lists.length) this.noteNewFiles({ lists: made });
  }

  /** Takes note of the end of the job: it is not taken up again. @throws {StasisError} `io` */
  noteEnd(end: End): void {
    this.#write(END, end);
  }

  /** Has a job that has ended be one that has not. @throws {StasisError} `io` */
  forgetEnd(): void {
    this.#remove(END);
    syncPath(this.path);
  }

  /**
   * Deletes all checkpoints but the newest, and those that they need.
   *
   * @param keep how many are kept, at least
   * @returns the numbers of those that are gone
   * @throws {StasisError} `io`
   */
  prune(keep: number): number[] {
    const { checkpoints, latest } = this.list();
    const gone = superfluous(checkpoints, keep, latest, (number) => needsOf(this.path, number));
    // Children before their parents, and each at once: one that is half deleted has no number any more.
    for (const number of gone.reverse()) {
      try {
        Deno.renameSync(this.directoryOf(number), `${this.path}/${deletedName(number)}`);
      } catch (cause) {
        throw ioError(`delete ${this.directoryOf(number)}`, cause);
      }
      this.#remove(deletedName(number));
      this.#remove(`${number}.json`);
    }
    return gone.reverse();
  }

  #remove(name: string): void {
    try {
      Deno.removeSync(`${this.path}/${name}`, { recursive: true });
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) {
        throw ioError(`delete ${this.path}/${name}`, cause);
      }
    }
  }

  /** Writes a record, whole or not at all. */
  #write(name: string, record: Owner | ProcessName | NewFiles | End | Made): void {
    const path = `${this.path}/${newName(name)}`;
    try {
      Deno.writeTextFileSync(path, JSON.stringify(record, null, 2) + "\n", { mode: 0o600 });
      syncPath(path);
      Deno.renameSync(path, `${this.path}/${name}`);
    } catch (cause) {
      throw ioError(`write ${this.path}/${name}`, cause);
    }
    syncPath(this.path);
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

/** Makes the directory of a store, mode 0700, unless it is there: what is in it holds all memory of a program. */
function makeDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) return;
    throw ioError(`create ${path}`, cause);
  }
  syncPath(path.slice(0, path.lastIndexOf("/")) || "/");
}

/** Refuses a directory that has something else in it. @throws {StasisError} `exists`; as {@link StoreReader.list} */
function requireStore(path: string): void {
  new StoreReader(path).list();
  if (exists(`${path}/${OWNER}`)) return;
  const ours = new Set([LOCK, newName(OWNER)]);
  const other = Array.from(Deno.readDirSync(path), ({ name }) => name).find((name) =>
    !ours.has(name)
  );
  if (other === undefined) return;
  throw new StasisError("exists", `${path} is no store of a job, and has ${other} in it`, {
    hint: "name a directory that does not exist yet, or an empty one",
  });
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw ioError(`look at ${path}`, cause);
  }
}
