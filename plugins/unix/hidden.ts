/**
 * Empty messages that nobody can see.
 *
 * The kernel marks an empty message when somebody looks at it (MSG_PEEK), and from then on SO_PEEK_OFF passes over
 * it (__skb_try_recv_from_queue() of `net/core/datagram.c`): so a second checkpoint of a program would miss one that
 * the first has seen. What gives it away is the memory that the kernel counts for what a socket has sent and nobody
 * has received yet.
 *
 * @module
 */
import { isErrno } from "../../core/linux/errno.ts";
import { ioctl, syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { AF_UNIX, MSG_DONTWAIT, SOCK_CLOEXEC } from "../../core/linux/net/socket_ffi.ts";
import { LARGEST_BUFFER, SO, tryNumber } from "../../core/linux/net/socket_options.ts";
import { SOCK } from "../../core/linux/net/unix_diag.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

/** TIOCOUTQ of sockets: what was sent and is not received yet, as the kernel counts it. */
const SIOCOUTQ = 0x5411;

/**
 * How many empty messages there are that are not seen.
 *
 * @param sent what the kernel counts as sent and not received, of all sockets together
 * @param seen the lengths of all messages that are seen
 * @param costOf what it counts for a message of a length; undefined if that cannot be found out
 */
export function hiddenMessages(
  sent: number,
  seen: readonly number[],
  costOf: (length: number) => number | undefined,
): number {
  if (sent === 0) return 0;
  const empty = costOf(0);
  let rest = sent;
  for (const length of seen) {
    const cost = costOf(length);
    if (cost === undefined) return 0;
    rest -= cost;
  }
  // Anything else is no empty message: something that was sent to somebody outside.
  return empty === undefined || rest <= 0 || rest % empty !== 0 ? 0 : rest / empty;
}

/** BPF_RET of BPF_CLASS, BPF_RVAL: what comes is cut to a constant (BPF_K), or to what is in a register. */
const CLASS = 0x07n, RETURN = 0x06n, VALUE = 0x18n, CONSTANT = 0n;
/** More than any message has. */
const ALL = 1n << 30n;

/**
 * Whether a filter may cut messages (`sk_filter_trim_cap()` of `net/core/filter.c`): the kernel counts for them what it
 * did when they were whole.
 *
 * @param filter each instruction as a number, the code in the highest 16 bits, the constant in the lowest 32
 */
export function mayCut(filter: readonly bigint[]): boolean {
  return filter.some((instruction) => {
    const code = instruction >> 48n, constant = instruction & 0xffffffffn;
    if ((code & CLASS) !== RETURN) return false;
    return (code & VALUE) !== CONSTANT || constant > 0n && constant < ALL;
  });
}

/** A measure of what the kernel counts for messages: it sends some to itself. */
export class CostMeter implements Disposable {
  readonly #sender: OwnedDescriptor;
  readonly #receiver: OwnedDescriptor;
  readonly #known = new Map<number, number | undefined>();

  constructor() {
    const ends = new Int32Array(2);
    const bytes = new Uint8Array(ends.buffer);
    const made = syscall(SYSCALLS.socketpair, AF_UNIX, SOCK.DGRAM | SOCK_CLOEXEC, 0, bytes);
    this.#sender = new OwnedDescriptor(isErrno(made) ? -1 : ends[0] as number);
    this.#receiver = new OwnedDescriptor(isErrno(made) ? -1 : ends[1] as number);
    // As large as this user may make it.
    if (!isErrno(made)) tryNumber(this.#sender.fd, SO.SNDBUFFORCE, LARGEST_BUFFER);
  }

  /** What the kernel counts for a message, in bytes; undefined if it could not be sent. */
  costOf(length: number): number | undefined {
    if (!this.#known.has(length)) this.#known.set(length, this.#measure(length));
    return this.#known.get(length);
  }

  #measure(length: number): number | undefined {
    const bytes = new Uint8Array(Math.max(length, 1));
    const sent = syscall(SYSCALLS.sendto, this.#sender.fd, bytes, length, MSG_DONTWAIT, 0, 0);
    if (isErrno(sent)) return undefined;
    const word = new Int32Array(1);
    const asked = ioctl(this.#sender.fd, SIOCOUTQ, new Uint8Array(word.buffer));
    syscall(SYSCALLS.recvfrom, this.#receiver.fd, bytes, 1, MSG_DONTWAIT, 0, 0);
    return asked < 0 ? undefined : word[0];
  }

  [Symbol.dispose](): void {
    this.#sender[Symbol.dispose]();
    this.#receiver[Symbol.dispose]();
  }
}
