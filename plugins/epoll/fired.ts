/**
 * One-shot entries of an epoll instance that have fired and wait to be armed again.
 *
 * @module
 */
import { defineStruct } from "../../core/linux/struct.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import type { eventpoll_tfd_entry } from "../../images/gen/event_files_pb.ts";

/** Operations of epoll_ctl(2) (`include/uapi/linux/eventpoll.h`). */
export const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_MOD = 3;

const EPOLLIN = 1;
const EPOLLOUT = 4;
const EPOLLRDHUP = 0x2000;
const EPOLLONESHOT = 1 << 30;
/** EPOLLEXCLUSIVE, EPOLLWAKEUP, EPOLLONESHOT, EPOLLET: all that remains when a one-shot fires (EP_PRIVATE_BITS). */
const PRIVATE_BITS = (1 << 28) | (1 << 29) | EPOLLONESHOT | (1 << 31);

/** `struct epoll_event` (`include/uapi/linux/eventpoll.h`), packed on x86-64. */
export const EpollEvent = defineStruct("epoll_event", 12, {
  events: [0, "u32"],
  data: [4, "u64"],
});

/** Whether these are the events of a one-shot entry that waits to be armed again. */
export function hasFired(events: number): boolean {
  return (events & EPOLLONESHOT) !== 0 && (events & ~PRIVATE_BITS) === 0;
}

/**
 * Adds calls that add a fired one-shot entry.
 *
 * It is armed for what nearly every file is ready for, and epoll_wait(2) fires it, which leaves it as it
 * was. Where the file is not ready for anything it must be disarmed as far as that goes, down to EPOLLERR
 * and EPOLLHUP, which the kernel always adds: it will tell of a hang-up then, if one comes about before the
 * program arms it again. Programs have no branches; but the operation of the last call is taken from the
 * event that epoll_wait returns: it is EPOLL_CTL_MOD beforehand, and once overwritten by any combination of
 * events without EPOLLPRI it is EPOLL_CTL_ADD, which fails as the entry is there, or no operation at all.
 */
export function planFired(
  program: SyscallProgram,
  fd: Argument,
  { tfd, events, data }: eventpoll_tfd_entry,
): void {
  const armed = EpollEvent.make({ events: events | EPOLLIN | EPOLLOUT | EPOLLRDHUP, data });
  const fired = EpollEvent.make({ events, data });
  const event = program.output(EpollEvent.make({ events: EPOLL_CTL_MOD }), "event");
  program.call("epoll_ctl", fd, EPOLL_CTL_ADD, tfd, program.data(armed, "armed"));
  program.call("epoll_wait", fd, event, 1, 0);
  program.try("epoll_ctl", fd, event.int(0), tfd, program.data(fired, "one-shot"));
}
