/**
 * Keeping a connection from whatever comes for it, for some microseconds: a filter of classic BPF that takes nothing
 * (`tcp_filter()` of `net/ipv4/tcp_ipv4.c`). What is thrown away the other end sends again.
 *
 * @module
 */
import { type NoteCall, settingCall } from "../../core/checkpoint/noted_socket.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { addressOf, syscall } from "../../core/linux/libc_ffi.ts";
import { SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import { SO } from "../../core/linux/net/socket_options.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

/** BPF_RET | BPF_K (`include/uapi/linux/bpf_common.h`): so many bytes are taken, here none. */
const RETURN = 0x06;
const instruction = new Uint8Array(Uint16Array.of(RETURN, 0, 0, 0).buffer);
/** struct sock_fprog: the number of instructions, and at 8 where they are. */
const program = new Uint8Array(BigUint64Array.of(1n, addressOf(instruction)).buffer);

/**
 * Has nothing come to a TCP socket for a scope.
 *
 * @param fd a duplicate of the descriptor that `note` knows
 * @param note notes how it is put back
 * @returns undefined, and all is as before, where the socket has a filter of its own
 */
export function dropIncoming(fd: number, note: NoteCall): Disposable | undefined {
  const length = new Uint8Array(4);
  const has = syscall(SYSCALLS.getsockopt, fd, SOL_SOCKET, SO.ATTACH_FILTER, 0, length);
  if (has !== 0n || length.some((byte) => byte !== 0)) return undefined;
  const noted = note(settingCall(SOL_SOCKET, SO.DETACH_FILTER, 0));
  const filter = [SOL_SOCKET, SO.ATTACH_FILTER, program, program.byteLength] as const;
  const attached = syscall(SYSCALLS.setsockopt, fd, ...filter);
  if (isErrno(attached)) {
    // It is locked (SO_LOCK_FILTER).
    noted.erase();
    return undefined;
  }
  return {
    [Symbol.dispose]() {
      syscall(SYSCALLS.setsockopt, fd, SOL_SOCKET, SO.DETACH_FILTER, length, length.byteLength);
      noted.erase();
    },
  };
}
