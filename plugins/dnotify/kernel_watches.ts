/**
 * The watches of fcntl(2) F_NOTIFY, which no system call and no file of /proc tells: a `dnotify_struct` for each open
 * file and descriptor table, in a list of the mark that the directory's inode has (`fs/notify/dnotify/dnotify.c`).
 * They are read out of the kernel's memory (`core/linux/kernel_memory.ts`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import type { KernelMemory } from "../../core/linux/kernel_memory.ts";
import { openThreadPidfd, takeDescriptor } from "../../core/linux/pidfd.ts";
import { eventsOf } from "./events.ts";

/** More marks than a directory has, or watches: a list that goes on so is none. */
const MANY = 10_000;
const LOW = 0xffff_ffffn;

/** A watch. */
export interface KernelWatch {
  /** DN_*. */
  readonly events: number;
  /** Which descriptor table it is of: equal for tasks that share one. */
  readonly table: bigint;
}

/** Reads the watches of tasks that stand still, traced by this thread. */
export class KernelWatches {
  readonly #memory: KernelMemory;
  /** The function of the kernel's by which its marks are told from those of inotify and fanotify. */
  readonly #handler: bigint;
  /** The descriptor tables of the traced threads, by thread id. */
  readonly #tables = new Map<number, bigint>();

  /** @throws {StasisError} `unsupported` of a kernel in which nothing is where it is looked for */
  constructor(memory: KernelMemory) {
    this.#memory = memory;
    this.#handler = symbol("dnotify_handle_event");
    const { types } = memory;
    const self = memory.currentTask();
    const level = this.#field(this.#field(self, "task_struct", "thread_pid"), "pid", "level") & LOW;
    const number = types.offset("pid", "numbers") + level * BigInt(types.size("upid")) +
      types.offset("upid", "nr");
    const entry = types.offset("task_struct", "ptrace_entry");
    const head = self + types.offset("task_struct", "ptraced");
    for (let at = this.#word(head); at !== head; at = this.#word(at)) {
      const task = at - entry;
      const tid = this.#word(this.#field(task, "task_struct", "thread_pid") + number) & LOW;
      this.#tables.set(Number(tid), this.#field(task, "task_struct", "files"));
    }
  }

  /**
   * The watch by a descriptor.
   *
   * @returns undefined where its directory is not watched by it
   * @throws {StasisError} `unsupported` where that cannot be told
   */
  of({ pid, liveTid, fd }: Descriptor): KernelWatch | undefined {
    const table = this.#tables.get(liveTid);
    if (table === undefined) throw lost();
    using process = openThreadPidfd(liveTid, pid);
    using duplicate = takeDescriptor(process, pid, fd);
    const file = this.#memory.fileOf(duplicate.fd);
    if (file === undefined) throw lost();
    const inode = this.#field(file, "file", "f_inode");
    const connector = this.#field(inode, "inode", "i_fsnotify_marks");
    if (connector === 0n) return undefined;
    const first = this.#field(connector, "fsnotify_mark_connector", "list");
    const link = this.#memory.types.offset("fsnotify_mark", "obj_list");
    for (const mark of this.#list(first, (at) => this.#word(at))) {
      const group = this.#field(mark - link, "fsnotify_mark", "group");
      const operations = this.#field(group, "fsnotify_group", "ops");
      const handler = this.#field(operations, "fsnotify_ops", "handle_inode_event");
      if (handler === this.#handler) return this.#find(mark - link, file, table, fd);
    }
    return undefined;
  }

  #find(mark: bigint, file: bigint, table: bigint, fd: number): KernelWatch | undefined {
    const start = mark - this.#memory.types.offset("dnotify_mark", "fsn_mark");
    const first = this.#field(start, "dnotify_mark", "dn");
    const part = (at: bigint, name: string) => this.#field(at, "dnotify_struct", name);
    for (const at of this.#list(first, (at) => part(at, "dn_next"))) {
      const isOfIt = part(at, "dn_filp") === file && part(at, "dn_owner") === table &&
        Number(part(at, "dn_fd") & LOW) === fd;
      if (!isOfIt) continue;
      const events = eventsOf(Number(part(at, "dn_mask") & LOW));
      if (events === undefined) throw lost();
      return { events, table };
    }
    return undefined;
  }

  *#list(first: bigint, next: (at: bigint) => bigint): Generator<bigint> {
    let count = 0;
    for (let at = first; at !== 0n; at = next(at)) {
      if (++count > MANY) throw lost();
      yield at;
    }
  }

  #field(address: bigint, struct: string, name: string): bigint {
    const found = this.#memory.field(address, struct, name);
    if (found === undefined) throw lost();
    return found;
  }

  #word(address: bigint): bigint {
    const found = this.#memory.word(address);
    if (found === undefined) throw lost();
    return found;
  }
}

/** Where a function of the kernel is. @throws {StasisError} `unsupported` where it does not tell */
function symbol(name: string): bigint {
  const text = Deno.readTextFileSync("/proc/kallsyms");
  const address = BigInt(`0x${new RegExp(`^([0-9a-f]+) . ${name}$`, "m").exec(text)?.[1] ?? "0"}`);
  // Where kernel.kptr_restrict hides them all are 0.
  if (address === 0n) throw lost();
  return address;
}

function lost(): StasisError {
  return new StasisError(
    "unsupported",
    "the kernel's memory does not tell what directories are watched for",
  );
}
