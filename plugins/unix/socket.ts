/**
 * The calls for one socket, whatever it is connected to. Pure.
 *
 * @module
 */
import { O } from "../../core/linux/fcntl.ts";
import { AF_UNIX, SOCK_CLOEXEC } from "../../core/linux/net/socket_ffi.ts";
import { SHUTDOWN } from "../../core/linux/net/unix_diag.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { sk_shutdown } from "../../images/gen/sockets_pb.ts";
import type { BindMeans } from "./bind.ts";
import type { SavedSocket } from "./group.ts";
import { nameText, sockaddr } from "./name.ts";
import { planAs } from "./identity.ts";
import type { QueueMeans } from "./message.ts";
import { planOptions } from "../../core/restore/socket_options.ts";

/** SOCK_NONBLOCK and SOCK_CLOEXEC of socket(2): nothing that is planned may wait. */
export const NEW = O.NONBLOCK | SOCK_CLOEXEC;

/** What the calls of a group depend on beside the images. */
export interface Means extends BindMeans, QueueMeans {
  /** Adds the calls that get a socket at which another task listens, to be closed again. @returns its number */
  fetchListener(program: SyscallProgram, listener: SavedSocket): Argument;
}

/** The descriptors of the sockets of a group, by id. */
export type Made = Map<number, Argument>;

/** A group whose sockets are made, and what is still to be done with them. */
export interface MadeGroup {
  /** The descriptor of each socket, by its id. */
  readonly made: Made;
  /** The descriptors that filling takes; those of sockets that are no one's are closed by that. */
  readonly used: readonly UsedDescriptor[];
  /**
   * Adds the calls that fill the queues, and do what comes behind that.
   *
   * @param at where a descriptor is by now
   */
  fill(program: SyscallProgram, at: (fd: Argument) => Argument): void;
}

/** A descriptor that filling takes. */
export interface UsedDescriptor {
  readonly fd: Argument;
  /** Whether it is of a socket that is in no image: of one that is closed. */
  readonly spare: boolean;
}

/** Adds the call that makes a socket like this one, with nothing of it but the type. */
export function planSocket(program: SyscallProgram, { entry: { type } }: SavedSocket): Argument {
  return program.call("socket", AF_UNIX, type | NEW, 0);
}

/** Adds the call that makes two sockets like this one, connected to each other. */
export function planEnds(
  program: SyscallProgram,
  { entry: { type }, extra }: SavedSocket,
): [Argument, Argument] {
  const ends = program.output(8, "ends");
  planAs(program, extra?.peer, () => program.call("socketpair", AF_UNIX, type | NEW, 0, ends));
  return [ends.int(0), ends.int(4)];
}

/** SHUT_RD, SHUT_WR, SHUT_RDWR of shutdown(2) by what the image says. */
const HOW: Readonly<Partial<Record<number, number>>> = {
  [SHUTDOWN.RECEIVE]: 0,
  [SHUTDOWN.SEND]: 1,
  [SHUTDOWN.BOTH]: 2,
};

/** Adds the calls for what comes when all messages are there. */
export function planRest(
  program: SyscallProgram,
  fd: Argument,
  { entry, extra }: SavedSocket,
  { limits }: Means,
): void {
  const how = HOW[entry.shutdown ?? sk_shutdown.NONE];
  if (how !== undefined) program.call("shutdown", fd, how);
  if (entry.opts !== undefined) {
    planOptions(program, fd, entry.opts, extra?.options ?? [], limits);
  }
  planStatusFlags(program, fd, entry.flags, O.NONBLOCK);
}

/** Adds the call that connects a socket to its name outside of the tree, as who has it. */
export function planConnectOutside(
  program: SyscallProgram,
  fd: Argument,
  { outside, extra }: SavedSocket,
): void {
  const name = outside ?? new Uint8Array(0);
  const address = sockaddr(name);
  planAs(
    program,
    extra?.connector,
    () => program.call("connect", fd, program.data(address, nameText(name)), address.byteLength),
  );
}
