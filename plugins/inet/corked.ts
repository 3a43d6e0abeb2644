/**
 * What a socket of datagrams keeps of a message that its program goes on writing (MSG_MORE, UDP_CORK): no system call
 * tells of it but by the memory that it takes (`unsent.ts`), so it is read out of the kernel's memory.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Address } from "./address.ts";
import type { CorkedMessage, KernelSockets } from "./kernel_sockets.ts";
import type { SocketKind } from "./protocol.ts";
import { hasUnsent } from "./unsent.ts";

/** What is found of it: the message, or why it cannot be saved. */
export interface FoundMessage {
  readonly corked?: CorkedMessage;
  readonly problem?: string;
  readonly hint?: string;
  readonly passing?: boolean;
}

/**
 * Reads the message that a socket has begun.
 *
 * @param fd a duplicate of its descriptor; nobody may send by it meanwhile
 * @param peer what it is connected to
 * @param kernel opens what reads the kernel's memory
 */
export function readCorked(
  fd: number,
  kind: SocketKind,
  peer: Address | undefined,
  kernel: () => KernelSockets | undefined,
): FoundMessage {
  if (!hasUnsent(fd)) return {};
  let reason = "";
  try {
    const memory = kernel();
    if (memory !== undefined) return { corked: memory.corked(fd, kind, peer) };
  } catch (error) {
    if (!(error instanceof StasisError && error.code === "unsupported")) throw error;
    reason = `: ${error.message}`;
  }
  return {
    problem: `has a message that is begun and not sent (MSG_MORE, UDP_CORK)${reason}`,
    hint: "try again when it is sent" + (reason === "" ? `; or ${READABLE}` : ""),
    passing: true,
  };
}

/** What it takes to read the kernel's memory. */
export const READABLE =
  "save it as root, or with CAP_BPF and CAP_PERFMON, on a kernel with CONFIG_DEBUG_INFO_BTF that is not locked down";
