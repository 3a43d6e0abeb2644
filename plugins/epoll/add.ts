/**
 * Adding a file to an epoll instance, under the number that it was added with in the first place.
 *
 * @module
 */
import { O } from "../../core/linux/fcntl.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import type { fdinfo_entry } from "../../images/gen/descriptors_pb.ts";
import type { eventpoll_tfd_entry } from "../../images/gen/event_files_pb.ts";
import { EPOLL_CTL_ADD, EpollEvent, hasFired, planFired } from "./fired.ts";

const FD_CLOEXEC = 1;

/**
 * Adds calls that add a file. It has to have its number at that moment, so where that is closed, or another
 * file's by now, it gets the number for as long as this takes. An instance watches a file as long as any
 * descriptor of it is open anywhere (eventpoll_release() of `fs/eventpoll.c`).
 *
 * @param fd the instance
 * @param target its `tfd` leads to the file
 * @param number the number that the file was added with
 * @param descriptors those that the task has
 */
export function planTarget(
  program: SyscallProgram,
  fd: Argument,
  target: eventpoll_tfd_entry,
  number: number,
  descriptors: ReadonlyMap<number, Pick<fdinfo_entry, "flags">>,
): void {
  if (number === target.tfd) return add(program, fd, target);
  const other = descriptors.get(number);
  const aside = other && program.call("dup", number);
  program.call("dup3", target.tfd, number, 0);
  add(program, fd, { ...target, tfd: number });
  if (aside === undefined || other === undefined) program.call("close", number);
  else {
    program.call("dup3", aside, number, (other.flags & FD_CLOEXEC) !== 0 ? O.CLOEXEC : 0);
    program.call("close", aside);
  }
}

function add(program: SyscallProgram, fd: Argument, target: eventpoll_tfd_entry): void {
  const { tfd, events, data } = target;
  if (hasFired(events)) return planFired(program, fd, target);
  const note = `events=0x${events.toString(16)}, data=0x${data.toString(16)}`;
  const event = program.data(EpollEvent.make({ events, data }), note);
  program.call("epoll_ctl", fd, EPOLL_CTL_ADD, tfd, event);
}
