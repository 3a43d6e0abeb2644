/**
 * Who has the audit log: of all sockets of NETLINK_AUDIT the kernel keeps something for that one alone.
 *
 * @module
 */
import { Errno, isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { netlinkSocket, NLM_F, nlmsghdr, parseNetlink } from "../../core/linux/net/netlink.ts";
import { SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import { SO, timeval } from "../../core/linux/net/socket_options.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { NETLINK_AUDIT } from "./protocol.ts";

/** `include/uapi/linux/audit.h`; its struct audit_status has the process id as the fourth word. */
const AUDIT_GET = 1000, PID_AT = 12;
const ROOM = 1024;
/** For how long it has time to answer, in milliseconds. */
const PATIENCE = 1000;

/** The process that gets the audit log; 0: none. Undefined where the kernel does not tell this process. */
export function auditDaemon(): number | undefined {
  const made = syscall(SYSCALLS.socket, ...netlinkSocket(NETLINK_AUDIT));
  if (isErrno(made)) return undefined;
  using socket = new OwnedDescriptor(Number(made));
  const request = nlmsghdr.make({ len: nlmsghdr.size, type: AUDIT_GET, flags: NLM_F.REQUEST });
  if (isErrno(syscall(SYSCALLS.sendto, socket.fd, request, request.byteLength, 0, 0, 0))) {
    return undefined;
  }
  const answer = new Uint8Array(ROOM);
  // A thread of the kernel answers (audit_send_reply() of `kernel/audit.c`).
  const patience = timeval.make({ sec: BigInt(PATIENCE / 1000), usec: 0n });
  const how = [SOL_SOCKET, SO.RCVTIMEO] as const;
  syscall(SYSCALLS.setsockopt, socket.fd, ...how, patience, patience.byteLength);
  const receive = () => syscall(SYSCALLS.recvfrom, socket.fd, answer, answer.byteLength, 0, 0, 0);
  const end = performance.now() + PATIENCE;
  let got = receive();
  // A signal to this process is no answer, and the kernel makes no call anew that has a time.
  while (got === -BigInt(Errno.EINTR) && performance.now() < end) got = receive();
  return isErrno(got) ? undefined : daemonOf(answer.subarray(0, Number(got)));
}

/** The process that an answer names. Pure. */
export function daemonOf(answer: Uint8Array): number | undefined {
  const status = parseNetlink(answer).find(({ type }) => type === AUDIT_GET)?.payload;
  if (status === undefined || status.byteLength < PID_AT + 4) return undefined;
  return new DataView(status.buffer, status.byteOffset).getUint32(PID_AT, true);
}
