/**
 * Plugin `epoll`: instances of epoll_create(2) and what they watch.
 *
 * Saved: an `eventpoll_file_entry` of `files.img` with status flags and, for each watched file, number,
 * events and data from fdinfo. An instance watches open file descriptions, each under the number that it was
 * added with: one that was added as 5 is watched on when 5 has been closed and a duplicate remains, and 5 may
 * even be another file by now, watched too. kcmp(2) tells which descriptor of the task it is; the image has that
 * one's number, as CRIU writes it, and `epoll-extra.img` the one that it was added with, where that is another.
 * Of an instance that several tasks share, the first of them must have descriptors of all its files.
 *
 * Restored: created with the other files, filled in the connect stage, when all descriptors have their
 * numbers; see `add.ts`. Adding a file asks at once whether it is ready (ep_insert() of `fs/eventpoll.c`), so no
 * event is lost; with EPOLLET one that the program had seen already may come again, as epoll(7) allows.
 *
 * An EPOLLONESHOT entry that has fired has no events left until it is armed again, and epoll_ctl(2) cannot
 * make one, because the kernel adds EPOLLERR and EPOLLHUP to whatever it gets. So it is made to fire: see
 * `fired.ts`.
 *
 * Noted: that it was told to poll network devices, see `busy_poll.ts`.
 *
 * @module
 */
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { claimsAnonymous } from "../../core/checkpoint/outside_holders.ts";
import { O } from "../../core/linux/fcntl.ts";
import { findOrdered, KCMP, kcmp } from "../../core/linux/kcmp.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
} from "../../core/plugin.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { epoll_extra_entry, eventpoll_file_entry } from "../../images/gen/event_files_pb.ts";
import { EPOLL_EXTRA } from "../../images/kinds/epoll_extra.ts";
import { planTarget } from "./add.ts";
import { pollsBusily } from "./busy_poll.ts";
import { hasFired } from "./fired.ts";
import { type Hints, targetImage, targetsOf } from "./targets.ts";

/** The plugin. */
export const epoll: Plugin = definePlugin({
  name: "epoll",
  description: "epoll instances and what they watch",
  images: [EPOLL_EXTRA],
  checkpoint: checkpointEpoll,
  restore: restoreEpoll,
});

function checkpointEpoll(session: CheckpointSession): CheckpointHooks {
  /** One descriptor of each instance that was looked at, the first, as for the dump; in kcmp's order. */
  let looked: Descriptor[] = [];
  const hints = new Map<string, Hints>();
  return {
    survey: () => {
      looked = [];
    },
    descriptors: [{
      kind: "epoll",
      claims: claimsAnonymous(session.options, "eventpoll"),
      survey(descriptor, task) {
        if ((descriptor.info.epoll ?? []).length === 0) return undefined;
        // A task that shares it with an earlier one need not have the files.
        const { index, found } = findOrdered(
          looked,
          (other) => kcmp(descriptor.liveTid, other.liveTid, KCMP.FILE, descriptor.fd, other.fd),
        );
        if (found) return undefined;
        looked.splice(index, 0, descriptor);
        const lost = targetsOf(descriptor, task, hints).filter(({ fd }) => fd === undefined);
        if (lost.length === 0) return undefined;
        const numbers = lost.slice(0, NAMED).map(({ target }) => target.tfd).join(", ");
        const more = lost.length > NAMED ? ` and ${lost.length - NAMED} more` : "";
        return {
          what:
            `its epoll descriptor ${descriptor.fd} watches files that were added as ${numbers}` +
            `${more} and that it has no descriptor of any more`,
          hint: "take them out (EPOLL_CTL_DEL) before they are closed, or close the epoll instance",
        };
      },
      dump({ descriptor, task, id, fown, fd }) {
        if (pollsBusily(fd)) {
          session.note(
            `task ${task.pid} has told its epoll instance ${descriptor.fd} to poll busily (EPIOCSPARAMS), which is lost`,
          );
        }
        const found = targetsOf(descriptor, task.proc, hints);
        found.forEach(({ target, fd }, index) => {
          if (fd === target.tfd) return;
          session.writer.append(EPOLL_EXTRA, null, { id, index, number: target.tfd });
          session.requirePlugin();
        });
        const flags = descriptor.info.flags & ~O.CLOEXEC;
        const tfd = found.map((one) => targetImage(one, id));
        return { type: fd_types.EVENTPOLL, epfd: { id, flags, fown, tfd } };
      },
    }],
  };
}

/** How many numbers a problem names. */
const NAMED = 10;

function restoreEpoll({ images }: RestoreSession): RestoreHooks {
  const extras: readonly epoll_extra_entry[] = images.has(EPOLL_EXTRA, null)
    ? images.readList(EPOLL_EXTRA, null)
    : [];
  /** The numbers of an instance's files that are not those by which they are to be had: by their places. */
  const numbersOf = Map.groupBy(extras, ({ id }) => id);
  return {
    *numbers() {
      for (const { number } of extras) yield number;
    },
    descriptors: [{
      kind: "epoll",
      restores: (file) => file.type === fd_types.EVENTPOLL && file.epfd !== undefined,
      plan({ file, program }) {
        const { flags } = file.epfd as eventpoll_file_entry;
        const fd = program.call("epoll_create1", O.CLOEXEC);
        planStatusFlags(program, fd, flags);
        return fd;
      },
      connect({ file, program, fd, descriptors }) {
        const { tfd, id } = file.epfd as eventpoll_file_entry;
        const numbers = new Map(numbersOf.get(id)?.map(({ index, number }) => [index, number]));
        const all = tfd.map((target, index) => ({
          target,
          number: numbers.get(index) ?? target.tfd,
        }));
        // Those that have fired come first: the others' events would be taken in their place.
        const fired = all.filter(({ target }) => hasFired(target.events));
        const armed = all.filter(({ target }) => !hasFired(target.events));
        for (const { target, number } of [...fired, ...armed]) {
          planTarget(program, fd, target, number, descriptors);
        }
      },
    }],
  };
}
