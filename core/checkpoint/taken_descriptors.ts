/**
 * Duplicates of the descriptors of a task, taken and asked for their owners many at a time: while a task stands still
 * with a thousand of them, calls one by one take longer than the kernel does for them.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { fown_entrySchema } from "../../images/gen/file_owner_pb.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { isErrno } from "../linux/errno.ts";
import { addressOf, syscall } from "../linux/libc_ffi.ts";
import { mustTake, type OwnedDescriptor } from "../linux/pidfd.ts";
import { CallBatch } from "../linux/x86_64/call_batch_ffi.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import type { Descriptor } from "./task.ts";

/** How many are taken together: as many more of its own this process must be able to have. */
export const MOST_TAKEN = 64;

const F_GETSIG = 11, F_GETOWN_EX = 16, F_GETOWNER_UIDS = 17;
/** struct f_owner_ex: a type and a pid. */
const OWNER_WORDS = 2;

/** The calls, and what they write to, kept from one task to the next. */
interface Calls {
  readonly take: CallBatch;
  /** Of each the signal and the owner. */
  readonly ask: CallBatch;
  readonly owners: Int32Array;
  readonly close: CallBatch;
}

let shared: Calls | undefined;

function makeCalls(): Calls {
  const owners = new Int32Array(MOST_TAKEN * OWNER_WORDS);
  const address = addressOf(new Uint8Array(owners.buffer));
  const each = Array.from({ length: MOST_TAKEN }, (_, index) => index);
  return {
    take: new CallBatch(each.map(() => ({ name: "pidfd_getfd", args: [-1, -1, 0] }))),
    ask: new CallBatch(each.flatMap((index) => [
      { name: "fcntl", args: [-1, F_GETSIG, 0] },
      {
        name: "fcntl",
        args: [
          -1,
          F_GETOWN_EX,
          address + BigInt(index * OWNER_WORDS * Int32Array.BYTES_PER_ELEMENT),
        ],
      },
    ])),
    owners,
    close: new CallBatch(each.map(() => ({ name: "close", args: [-1] }))),
  };
}

/** Duplicates of some descriptors, closed with its scope. There may be one of these at a time. */
export class TakenDescriptors implements Disposable {
  readonly #calls: Calls = shared ??= makeCalls();
  readonly #pid: number;
  readonly #descriptors: readonly Descriptor[];
  #hasAsked = false;

  /** @param descriptors at most {@link MOST_TAKEN}, of one task */
  constructor(pidfd: OwnedDescriptor, pid: number, descriptors: readonly Descriptor[]) {
    this.#pid = pid;
    this.#descriptors = descriptors;
    const { take, close } = this.#calls;
    const count = descriptors.length;
    const from = BigInt(pidfd.fd);
    for (let index = 0; index < count; index++) {
      take.setArgument(index, 0, from);
      take.setArgument(index, 1, BigInt((descriptors[index] as Descriptor).fd));
    }
    take.run(count);
    for (let index = 0; index < count; index++) close.setArgument(index, 0, take.result(index));
  }

  /** Asks for the owners of all; not of those of which only something else is looked at. */
  #askOwners(): void {
    if (this.#hasAsked) return;
    this.#hasAsked = true;
    const { take, ask } = this.#calls;
    const count = this.#descriptors.length;
    for (let index = 0; index < count; index++) {
      const fd = take.result(index);
      ask.setArgument(2 * index, 0, fd);
      ask.setArgument(2 * index + 1, 0, fd);
    }
    ask.run(2 * count);
  }

  /** The duplicate of one of them, by its place in the list. @throws {StasisError} if it could not be taken */
  fd(index: number): number {
    const { fd } = this.#descriptors[index] as Descriptor;
    return mustTake(this.#calls.take.result(index), this.#pid, fd);
  }

  /** Who gets the signals of one of them (fcntl(2)); nobody where the kind knows none (O_PATH). */
  owner(index: number): MessageInitShape<typeof fown_entrySchema> {
    this.#askOwners();
    const { ask, owners } = this.#calls;
    const signal = ask.result(2 * index);
    if (isErrno(signal)) return NO_OWNER;
    const [pidType, pid] = owners.subarray(index * OWNER_WORDS) as unknown as [number, number];
    if (pid === 0) return signal === 0n ? NO_OWNER : { ...NO_OWNER, signum: Number(signal) };
    const words = new Uint32Array(2);
    syscall(SYSCALLS.fcntl, this.fd(index), F_GETOWNER_UIDS, new Uint8Array(words.buffer));
    const [uid, euid] = words as unknown as [number, number];
    return { uid, euid, signum: Number(signal), pidType, pid };
  }

  [Symbol.dispose](): void {
    // Of what could not be taken this closes nothing: its number is negative.
    this.#calls.close.run(this.#descriptors.length);
  }
}
