/**
 * Plugin `epoll`: instances of epoll_create(2) and what they watch.
 *
 * Saved: an `eventpoll_file_entry` of `files.img` with status flags and, for each watched file, number,
 * events and data from fdinfo. An instance watches open file descriptions, not numbers: one that was added
 * as 5 is watched on when 5 has been closed and a duplicate remains. kcmp(2) tells which descriptor of the
 * task it is; the image has that one's number, as CRIU writes it. Of an instance that several tasks share,
 * the first of them must have descriptors of all its files.
 *
 * Restored: created with the other files, filled in the connect stage, when all descriptors have their
 * numbers. Adding a file asks at once whether it is ready (ep_insert() of `fs/eventpoll.c`), so no event is
 * lost; with EPOLLET one that the program had seen already may come again, as epoll(7) allows.
 *
 * An EPOLLONESHOT entry that has fired has no events left until it is armed again, and epoll_ctl(2) cannot
 * make one, because the kernel adds EPOLLERR and EPOLLHUP to whatever it gets. So it is made to fire: see
 * `fired.ts`.
 *
 * @module
 */
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { isNamedExternal } from "../../core/checkpoint/outside_holders.ts";
import { O } from "../../core/linux/fcntl.ts";
import { KCMP, kcmp } from "../../core/linux/kcmp.ts";
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { eventpoll_file_entry, eventpoll_tfd_entry } from "../../images/gen/event_files_pb.ts";
import { EPOLL_CTL_ADD, EpollEvent, hasFired, planFired } from "./fired.ts";
import { targetImage, targetsOf } from "./targets.ts";

/** The plugin. */
export const epoll: Plugin = definePlugin({
  name: "epoll",
  description: "epoll instances and what they watch",
  checkpoint: (session) => {
    /** One descriptor of each instance that was looked at: the first, as for the dump. */
    let looked: Descriptor[] = [];
    return {
      survey: () => {
        looked = [];
      },
      descriptors: [{
        kind: "epoll",
        claims: (descriptor) =>
          descriptor.link.kind === "anon-inode" && descriptor.link.path === "eventpoll" &&
          !isNamedExternal(session.options, descriptor),
        survey(descriptor, task) {
          // A task that shares it with an earlier one need not have the files.
          if (looked.some((other) => isSameFile(other, descriptor))) return undefined;
          looked.push(descriptor);
          const lost = targetsOf(descriptor, task).filter(({ fd }) => fd === undefined);
          if (lost.length === 0) return undefined;
          const numbers = lost.map(({ target }) => target.tfd).join(", ");
          return {
            what:
              `its epoll descriptor ${descriptor.fd} watches files that were added as ${numbers} ` +
              "and that it has no descriptor of any more",
            hint:
              "take them out (EPOLL_CTL_DEL) before they are closed, or close the epoll instance",
          };
        },
        dump({ descriptor, task, id, fown }) {
          const tfd = targetsOf(descriptor, task.proc).map((found) => targetImage(found, id));
          const flags = descriptor.info.flags & ~O.CLOEXEC;
          return { type: fd_types.EVENTPOLL, epfd: { id, flags, fown, tfd } };
        },
      }],
    };
  },
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
        // Before the others, whose events they would otherwise take.
        for (const target of tfd) if (hasFired(target.events)) planFired(program, fd, target);
        for (const target of tfd) if (!hasFired(target.events)) add(target);
      },
    }],
  }),
});

/** Whether two descriptors are of one open file description. */
function isSameFile(a: Descriptor, b: Descriptor): boolean {
  return kcmp(a.pid, b.pid, KCMP.FILE, a.fd, b.fd) === 0;
}
