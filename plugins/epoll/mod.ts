/**
 * Plugin `epoll`: instances of epoll_create(2) and what they watch.
 *
 * Saved: an `eventpoll_file_entry` of `files.img` with status flags and, for each watched file, number,
 * events and data from fdinfo. An instance watches open file descriptions, not numbers: one that was added
 * as 5 is watched on when 5 has been closed and a duplicate remains. kcmp(2) tells which descriptor of the
 * task it is; the image has that one's number, as CRIU writes it.
 *
 * Restored: created with the other files, filled in the connect stage, when all descriptors have their
 * numbers. Adding a file asks at once whether it is ready (ep_insert() of `fs/eventpoll.c`), so no event is
 * lost; with EPOLLET one that the program had seen already may come again, as epoll(7) allows.
 *
 * An EPOLLONESHOT entry that has fired has no events left until it is armed again. The kernel adds EPOLLERR
 * and EPOLLHUP to whatever epoll_ctl(2) gets, so such an entry would tell of a hang-up. It is added first
 * and fired by an epoll_wait(2), which turns it off where there is a hang-up; one that comes about
 * between the restore and the next arming is told of.
 *
 * @module
 */
import { isNamedExternal } from "../../core/checkpoint/outside.ts";
import { O } from "../../core/linux/fcntl.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import type { eventpoll_file_entry, eventpoll_tfd_entry } from "../../images/gen/eventpoll_pb.ts";
import { fd_types } from "../../images/gen/fdinfo_pb.ts";
import { targetImage, targetsOf } from "./targets.ts";

const EPOLL_CTL_ADD = 1;
const EPOLLONESHOT = 1 << 30;
/** EPOLLWAKEUP, EPOLLONESHOT, EPOLLET, EPOLLEXCLUSIVE: what remains of a one-shot that has fired (EP_PRIVATE_BITS). */
const PRIVATE_BITS = (1 << 29) | EPOLLONESHOT | (1 << 31) | (1 << 28);

/** `struct epoll_event` (`include/uapi/linux/eventpoll.h`), packed on x86-64. */
const EpollEvent = defineStruct("epoll_event", 12, { events: [0, "u32"], data: [4, "u64"] });

/** The plugin. */
export const epoll: Plugin = definePlugin({
  name: "epoll",
  description: "epoll instances and what they watch",
  checkpoint: (session) => ({
    descriptors: [{
      kind: "epoll",
      claims: (descriptor) =>
        descriptor.link.kind === "anon-inode" && descriptor.link.path === "eventpoll" &&
        !isNamedExternal(session.options, descriptor),
      survey(descriptor, task) {
        const lost = targetsOf(descriptor, task).filter(({ fd }) => fd === undefined);
        if (lost.length === 0) return undefined;
        const numbers = lost.map(({ target }) => target.tfd).join(", ");
        return {
          what:
            `its epoll descriptor ${descriptor.fd} watches files that were added as ${numbers} ` +
            "and that it has no descriptor of any more",
          hint: "take them out (EPOLL_CTL_DEL) before they are closed, or close the epoll instance",
        };
      },
      dump({ descriptor, task, id, fown }) {
        const tfd = targetsOf(descriptor, task.proc).map((found) => targetImage(found, id));
        const flags = descriptor.info.flags & ~O.CLOEXEC;
        return { type: fd_types.EVENTPOLL, epfd: { id, flags, fown, tfd } };
      },
    }],
  }),
  restore: () => ({
    descriptors: [{
      kind: "epoll",
      restores: (file) => file.type === fd_types.EVENTPOLL && file.epfd !== undefined,
      plan({ file, program }) {
        const { flags } = file.epfd as eventpoll_file_entry;
        const fd = program.call("epoll_create1", O.CLOEXEC);
        planStatusFlags(program, fd, flags);
        return fd;
      },
      connect({ file, program, fd }) {
        const { tfd } = file.epfd as eventpoll_file_entry;
        const add = ({ tfd, events, data }: eventpoll_tfd_entry): void => {
          const note = `events=0x${events.toString(16)}, data=0x${data.toString(16)}`;
          const event = program.data(EpollEvent.make({ events, data }), note);
          program.call("epoll_ctl", fd, EPOLL_CTL_ADD, tfd, event);
        };
        const fired = tfd.filter(({ events }) => hasFired(events));
        for (const target of fired) {
          add(target);
          program.call("epoll_wait", fd, program.output(EpollEvent.size), 1, 0);
        }
        for (const target of tfd) if (!hasFired(target.events)) add(target);
      },
    }],
  }),
});

/** Whether these are the events of a one-shot entry that waits to be armed again. */
export function hasFired(events: number): boolean {
  return (events & EPOLLONESHOT) !== 0 && (events & ~PRIVATE_BITS) === 0;
}
