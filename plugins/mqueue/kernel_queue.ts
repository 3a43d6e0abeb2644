/**
 * A queue of whose next message somebody is to be told: neither how (mq_notify(3)) nor what is in it can be asked for
 * without setting that off, for the kernel tells when a message comes into an empty queue. So both are read out of the
 * kernel's memory (`core/linux/kernel_memory.ts`), where they are as `ipc/mqueue.c` and `ipc/msgutil.c` have them.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { KernelMemory } from "../../core/linux/kernel_memory.ts";
import type { QueueMessage } from "./messages.ts";

/** `include/uapi/asm-generic/siginfo.h`. */
export const SIGEV = { SIGNAL: 0, NONE: 1, THREAD: 2 } as const;
/** NOTIFY_COOKIE_LEN of `include/linux/mqueue.h`: so much is sent to the socket. */
export const COOKIE_SIZE = 32;
/** struct sigevent: a value, the signal, how. */
const SIGNAL = 8n, HOW = 12n;
/** PIDTYPE_TGID of `include/linux/pid_types.h`. */
const PROCESS = 1n;
/** Of lists: the pointer's size. */
const POINTER = 8n;
const PAGE = 4096;
/** HARD_MSGMAX: a list that goes on so is none. */
const MANY = 65536;
const LOW = 0xffff_ffffn;

/** How somebody is told. */
export type Notification =
  | { readonly how: typeof SIGEV.SIGNAL; readonly signal: number; readonly value: bigint }
  | { readonly how: typeof SIGEV.NONE }
  | {
    readonly how: typeof SIGEV.THREAD;
    /** The inode of the netlink socket; undefined where nobody has it open any more. */
    readonly socket: bigint | undefined;
    readonly cookie: Uint8Array<ArrayBuffer>;
  };

/** Reads a queue that nobody uses meanwhile. */
export class KernelQueue {
  readonly #memory: KernelMemory;
  readonly #info: bigint;

  /** @param fd a descriptor of it here @throws {StasisError} `unsupported` where it is not where it is looked for */
  constructor(memory: KernelMemory, fd: number) {
    this.#memory = memory;
    const files = this.#field(memory.currentTask(), "task_struct", "files");
    const table = this.#field(this.#field(files, "files_struct", "fdt"), "fdtable", "fd");
    const file = this.#word(table + POINTER * BigInt(fd));
    const inode = this.#field(file, "file", "f_inode");
    this.#info = inode - memory.types.offset("mqueue_inode_info", "vfs_inode");
  }

  /** How somebody is told; undefined if nobody is. @throws {StasisError} `unsupported` where that cannot be told */
  notification(): Notification | undefined {
    const owner = this.#own("notify_owner");
    if (owner === 0n) return undefined;
    const event = this.#info + this.#memory.types.offset("mqueue_inode_info", "notify");
    const how = Number(this.#word(event + HOW) & LOW);
    if (how === SIGEV.THREAD) return this.#socket();
    if (how === SIGEV.NONE) return { how };
    if (how !== SIGEV.SIGNAL) throw lost();
    // One that has executed another program since is not signalled: to others the queue is taken all the same.
    if ((this.#own("notify_self_exec_id") & LOW) !== this.#programOf(owner)) {
      return { how: SIGEV.NONE };
    }
    return { how, signal: Number(this.#word(event + SIGNAL) & LOW), value: this.#word(event) };
  }

  /** The messages, in the order in which they are received. @throws {StasisError} `unsupported` where they cannot be read */
  messages(): QueueMessage[] {
    const { types } = this.#memory;
    const root = this.#info + types.offset("mqueue_inode_info", "msg_tree") +
      types.offset("rb_root", "rb_node");
    const found: QueueMessage[] = [];
    const link = types.offset("msg_msg", "m_list");
    for (const node of this.#descending(this.#word(root))) {
      const leaf = node - types.offset("posix_msg_tree_node", "rb_node");
      const head = leaf + types.offset("posix_msg_tree_node", "msg_list");
      const priority = Number(this.#field(leaf, "posix_msg_tree_node", "priority") & LOW);
      for (let at = this.#word(head); at !== head; at = this.#word(at)) {
        if (found.length === MANY) throw lost();
        found.push({ priority, text: this.#text(at - link) });
      }
    }
    return found;
  }

  /** The nodes of a tree, the last one first. */
  *#descending(node: bigint, depth = 0): Generator<bigint> {
    if (node === 0n) return;
    // A red-black tree of so many nodes is less deep.
    if (depth > 64) throw lost();
    yield* this.#descending(this.#field(node, "rb_node", "rb_right"), depth + 1);
    yield node;
    yield* this.#descending(this.#field(node, "rb_node", "rb_left"), depth + 1);
  }

  /** What is in a message: it begins behind its head, and each page behind the first behind a pointer. */
  #text(message: bigint): Uint8Array<ArrayBuffer> {
    const size = Number(this.#field(message, "msg_msg", "m_ts"));
    if (size > 1 << 24) throw lost();
    const text = new Uint8Array(size);
    let start = message, head = BigInt(this.#memory.types.size("msg_msg"));
    let next = message + this.#memory.types.offset("msg_msg", "next");
    for (let done = 0; done < size;) {
      const here = Math.min(size - done, PAGE - Number(head));
      text.set(this.#bytes(start + head, here), done);
      done += here;
      start = next = this.#word(next);
      head = POINTER;
    }
    return text;
  }

  #socket(): Notification {
    const { types } = this.#memory;
    const data = this.#field(this.#own("notify_cookie"), "sk_buff", "data");
    const cookie = this.#bytes(data, COOKIE_SIZE);
    const socket = this.#field(this.#own("notify_sock"), "sock", "sk_socket");
    if (socket === 0n) return { how: SIGEV.THREAD, socket: undefined, cookie };
    const inode = socket - types.offset("socket_alloc", "socket") +
      types.offset("socket_alloc", "vfs_inode");
    return { how: SIGEV.THREAD, socket: this.#field(inode, "inode", "i_ino"), cookie };
  }

  /** How many programs the process has executed, as the kernel counts. @param pid a `struct pid` */
  #programOf(pid: bigint): bigint {
    const { types } = this.#memory;
    const first = this.#word(pid + types.offset("pid", "tasks") + PROCESS * POINTER);
    if (first === 0n) throw lost();
    // Each link is of two pointers.
    const task = first - types.offset("task_struct", "pid_links") - PROCESS * 2n * POINTER;
    return this.#field(task, "task_struct", "self_exec_id") & LOW;
  }

  #bytes(start: bigint, size: number): Uint8Array<ArrayBuffer> {
    const words = new BigUint64Array(Math.ceil(size / 8));
    for (let index = 0; index < words.length; index++) {
      words[index] = this.#word(start + POINTER * BigInt(index));
    }
    return new Uint8Array(words.buffer, 0, size);
  }

  #own(name: string): bigint {
    return this.#field(this.#info, "mqueue_inode_info", name);
  }

  #field(address: bigint, struct: string, name: string): bigint {
    return this.#word(address + this.#memory.types.offset(struct, name));
  }

  #word(address: bigint): bigint {
    const found = this.#memory.word(address);
    if (found === undefined) throw lost();
    return found;
  }
}

function lost(): StasisError {
  return new StasisError(
    "unsupported",
    "the kernel's memory does not tell who is to be told of a queue's messages",
  );
}
