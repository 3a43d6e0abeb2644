/**
 * Plugin `epoll`: instances of epoll_create(2) and what they watch.
 *
 * Saved: an `eventpoll_file_entry` of `files.img` with status flags and, for each watched file, number,
 * events and data from fdinfo. An instance watches open file descriptions, each under the number that it was
 * added with: one that was added as 5 is watched on when 5 has been closed and a duplicate remains, and 5 may
 * even be another file by now, watched too. kcmp(2) tells which descriptor of the task it is; the image has that
 * one's number, as CRIU writes it, and `epoll-extra.img` the one that it was added with, where that is another. Where
 * the task has none any more, another task has one, or it lies in flight (`elsewhere.ts`): the extra image says which
 * file that is, and at restore the task has it for as long as it is added.
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
import { StasisError } from "../../base/errors.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { descriptorIds } from "../../core/checkpoint/descriptor_ids.ts";
import { mayHaveInFlight } from "../../core/checkpoint/in_flight.ts";
import { claimsAnonymous } from "../../core/checkpoint/outside_holders.ts";
import { O } from "../../core/linux/fcntl.ts";
import { findOrdered, KCMP, kcmp } from "../../core/linux/kcmp.ts";
import type { EpollTarget } from "../../core/linux/procfs/mod.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
  type SurveyContext,
} from "../../core/plugin.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { epoll_extra_entry, eventpoll_file_entry } from "../../images/gen/event_files_pb.ts";
import { EPOLL_EXTRA } from "../../images/kinds/epoll_extra.ts";
import { planTarget } from "./add.ts";
import { pollsBusily } from "./busy_poll.ts";
import { findElsewhere, lostTargets } from "./elsewhere.ts";
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
  let tree: SurveyContext | undefined;
  const hints = new Map<string, Hints>();
  /** What no descriptor of its task leads to, until all descriptors have their ids. */
  const lostOnes: {
    readonly id: number;
    readonly instance: Descriptor;
    readonly indexes: ReadonlyMap<EpollTarget, number>;
  }[] = [];
  /** Whether nothing tells while the tree runs where a file is. */
  const mayBeInFlight = () =>
    tree !== undefined && !tree.frozen &&
    mayHaveInFlight(tree.tasks.filter((one) => !one.isZombie));
  return {
    survey: (context) => {
      looked = [];
      tree = context;
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
        const own = lostTargets(targetsOf(descriptor, task, hints));
        if (own.length === 0) return undefined;
        const live = tree?.tasks.filter((one) => !one.isZombie) ?? [];
        const elsewhere = findElsewhere(own, descriptor, live);
        const lost = own.filter((target) => !elsewhere.has(target));
        if (lost.length === 0 || mayBeInFlight()) return undefined;
        const numbers = lost.slice(0, NAMED).map(({ tfd }) => tfd).join(", ");
        const more = lost.length > NAMED ? ` and ${lost.length - NAMED} more` : "";
        return {
          what:
            `its epoll descriptor ${descriptor.fd} watches files that were added as ${numbers}` +
            `${more} and that no process of the tree has a descriptor of any more`,
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
        const lost = new Map<EpollTarget, number>();
        found.forEach(({ target, fd }, index) => {
          if (fd === undefined) lost.set(target, index);
          if (fd === target.tfd || fd === undefined) return;
          session.writer.append(EPOLL_EXTRA, null, { id, index, number: target.tfd });
          session.requirePlugin();
        });
        if (lost.size > 0) lostOnes.push({ id, instance: descriptor, indexes: lost });
        const flags = descriptor.info.flags & ~O.CLOEXEC;
        const tfd = found.map((one) => targetImage(one, id));
        return { type: fd_types.EVENTPOLL, epfd: { id, flags, fown, tfd } };
      },
    }],
    dumpTree({ tasks }) {
      const { writer } = session;
      const ids = descriptorIds(writer);
      const owners = tasks.filter(({ pid, filesOwner }) => filesOwner === pid);
      for (const { id, instance, indexes } of lostOnes) {
        const all = owners.map(({ proc }) => proc);
        const elsewhere = findElsewhere([...indexes.keys()], instance, all);
        for (const [target, index] of indexes) {
          const file = ids.get(elsewhere.get(target) as Descriptor);
          if (file === undefined) {
            throw new StasisError(
              "internal",
              `the file that epoll descriptor ${instance.fd} of task ${instance.carrier} watches as ${target.tfd} was not saved`,
              { pid: instance.carrier },
            );
          }
          writer.append(EPOLL_EXTRA, null, { id, index, number: target.tfd, file });
          session.requirePlugin();
        }
      }
    },
  };
}

/** How many numbers a problem names. */
const NAMED = 10;

/** No id of a file: they are counted from 1. */
const NO_FILE = 0;

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
      *holds({ epfd }) {
        for (const { file } of numbersOf.get(epfd?.id as number) ?? []) {
          if (file !== NO_FILE) yield file;
        }
      },
      plan({ file, program }) {
        const { flags } = file.epfd as eventpoll_file_entry;
        const fd = program.call("epoll_create1", O.CLOEXEC);
        planStatusFlags(program, fd, flags);
        return fd;
      },
      connect({ file, program, fd, descriptors, numberOf }) {
        const { tfd, id } = file.epfd as eventpoll_file_entry;
        const own = new Map(numbersOf.get(id)?.map((extra) => [extra.index, extra]));
        const all = tfd.map((target, index) => {
          const { number = target.tfd, file = NO_FILE } = own.get(index) ?? {};
          return {
            number,
            target: file === NO_FILE ? target : { ...target, tfd: numberOf(file) },
          };
        });
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
