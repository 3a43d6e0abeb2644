/**
 * The calls that make connections anew that wait to be accepted and whose other ends are over: somebody connects from the
 * same address, sends what was sent, and closes or resets the connection as the other end did. Pure.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { SOCK_CLOEXEC, SOL_SOCKET } from "../../core/linux/net/socket_ffi.ts";
import { linger, SO } from "../../core/linux/net/socket_options.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { type BufferLimits, planRoom } from "../../core/restore/socket_options.ts";
import type { inet_orphaned_entry } from "../../images/gen/inet_pb.ts";
import { type Address, decodeAddress } from "./address.ts";
import { planTcpBind } from "./plan.ts";
import { planBytesInto, planConnect } from "./plan_stream.ts";
import { SOCK } from "./protocol.ts";

/** SHUT_WR of shutdown(2). */
const SENDING = 1;
/** For how long it may take until all has come, in seconds: close(2) waits for that (SO_LINGER). */
const ARRIVAL = 10;
/** How long a packet may be on its way inside of this machine before one that overtakes it is sent: 20 ms. */
const ON_ITS_WAY = new Uint8Array(BigInt64Array.of(0n, 20_000_000n).buffer);

/** Adds the calls, of the stage "task", in which all that listen do. */
export function planOrphaned(
  program: SyscallProgram,
  orphaned: inet_orphaned_entry,
  limits: BufferLimits,
): void {
  const { received, end, reset } = orphaned;
  const { from, to } = endsOf(orphaned);
  const fd = program.call("socket", from.family, SOCK.STREAM | SOCK_CLOEXEC, 0);
  planTcpBind(program, fd, from, limits);
  planConnect(program, fd, to);
  if (received.byteLength > 0) planRoom(program, fd, limits);
  planBytesInto(program, fd, received);
  if (end) program.call("shutdown", fd, SENDING);
  if (reset) {
    // A reset throws away what has not come, and one that overtakes the first packets is taken for a stranger's.
    program.call("nanosleep", program.data(ON_ITS_WAY, "20 ms"), 0);
  }
  const bytes = linger.make({ on: 1, seconds: reset ? 0 : ARRIVAL });
  const text = reset ? "it is reset" : "it waits until all has come";
  program.call("setsockopt", fd, SOL_SOCKET, SO.LINGER, program.data(bytes, text), linger.size);
  program.call("close", fd);
}

/** Who had connected, and to where. @throws {StasisError} `bad-image` */
export function endsOf(
  { from, to }: Pick<inet_orphaned_entry, "from" | "to">,
): { readonly from: Address; readonly to: Address } {
  const ends = { from: decodeAddress(from), to: decodeAddress(to) };
  if (ends.from !== undefined && ends.to !== undefined) return { from: ends.from, to: ends.to };
  throw new StasisError("bad-image", "a connection that waits to be accepted has no address");
}
