/**
 * Plugin `dnotify`: directories that a program is told of changes in by signals, fcntl(2) F_NOTIFY.
 *
 * Saved in `dnotify.img`: by which descriptor of which task, and for which events. The kernel tells that nobody, so it is
 * read out of its memory (`kernel_watches.ts`), by who may do that. The signal and whom it is sent to are the open
 * file's, and are saved with it.
 *
 * Restored: by the task itself, when it closes none of its files any more: the watch belongs to its descriptor table.
 *
 * Refused: where the kernel's memory cannot be read. That a directory is watched shows then all the same
 * (`owned_directory.ts`).
 *
 * @module
 */
import { type Problem, StasisError } from "../../base/errors.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { isNamedExternal } from "../../core/checkpoint/outside_holders.ts";
import { F } from "../../core/linux/fcntl.ts";
import type { KernelTypes } from "../../core/linux/btf.ts";
import { KernelMemory } from "../../core/linux/kernel_memory.ts";
import { unlessGone } from "../../core/linux/procfs/mod.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
} from "../../core/plugin.ts";
import type { dnotify_entry } from "../../images/gen/watches_pb.ts";
import { DNOTIFY } from "../../images/kinds/dnotify.ts";
import { isWatch } from "./events.ts";
import { KernelWatches } from "./kernel_watches.ts";
import { hasOwner } from "./owned_directory.ts";

/** The plugin. */
export const dnotify: Plugin = definePlugin({
  name: "dnotify",
  description: "directories that programs are told of changes in by signals",
  images: [DNOTIFY],
  checkpoint: checkpointDnotify,
  restore: restoreDnotify,
});

function checkpointDnotify(session: CheckpointSession): CheckpointHooks {
  let types: KernelTypes | undefined;
  let found: { readonly pid: number; readonly fd: number; readonly events: number }[] = [];

  const ownedOf = (task: Task): Descriptor[] =>
    unlessGone(() => task.descriptors, [])
      .filter((one) => !isNamedExternal(session.options, one) && hasOwner(one));

  return {
    survey({ tasks, frozen, problem }) {
      found = [];
      const owned = tasks.filter((task) => !task.isZombie).flatMap(ownedOf);
      if (owned.length === 0) return;
      if (!frozen) {
        types ??= KernelMemory.readTypes();
        if (types === undefined) owned.forEach((one) => problem(unreadable(one)));
        return;
      }
      // A watch that was set since the survey may be the first one.
      types ??= KernelMemory.readTypes();
      using memory = types && KernelMemory.open(types);
      const seen = new Set<string>();
      try {
        const watches = memory && new KernelWatches(memory);
        for (const descriptor of owned) {
          if (watches === undefined) {
            problem(unreadable(descriptor));
            continue;
          }
          const { pid, fd } = descriptor;
          const watch = watches.of(descriptor);
          if (watch === undefined || seen.has(`${watch.table} ${fd}`)) continue;
          seen.add(`${watch.table} ${fd}`);
          found.push({ pid, fd, events: watch.events });
        }
      } catch (error) {
        if (!(error instanceof StasisError)) throw error;
        owned.forEach((one) => problem(unreadable(one)));
      }
    },
    dumpTree() {
      for (const watch of found) {
        session.requirePlugin();
        session.writer.append(DNOTIFY, null, watch);
      }
    },
  };
}

function unreadable({ pid, fd, link }: Descriptor): Omit<Problem, "plugin"> {
  return {
    pid,
    what:
      `its descriptor ${fd} (${link.text}) is a directory that it is told of changes in (F_NOTIFY): ` +
      "the kernel tells nobody of which, and its memory cannot be read here",
    hint:
      "that takes root or CAP_BPF and CAP_PERFMON, and a kernel with CONFIG_DEBUG_INFO_BTF that is not locked down; " +
      "or have the program close it before the checkpoint, or use inotify(7)",
  };
}

function restoreDnotify({ images }: RestoreSession): RestoreHooks {
  let watches: readonly dnotify_entry[] = [];
  return {
    load() {
      if (!images.has(DNOTIFY, null)) return;
      watches = images.readList(DNOTIFY, null);
      for (const { pid, fd, events } of watches) {
        if (isWatch(events) && fd < 0x8000_0000) continue;
        throw new StasisError(
          "bad-image",
          `${
            images.pathOf(DNOTIFY, null)
          } has an impossible watch of descriptor ${fd} of task ${pid}`,
        );
      }
    },
    planTask(task) {
      for (const { pid, fd, events } of watches) {
        // A task that closes any descriptor of the file takes the watch back (dnotify_flush()), as with POSIX locks.
        if (pid === task.pid) task.program("locks").call("fcntl", fd, F.NOTIFY, events);
      }
    },
  };
}
