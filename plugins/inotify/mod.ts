/**
 * Plugin `inotify`: inotify(7) instances and what they watch.
 *
 * Saved: an `inotify_file_entry` of `files.img`, as CRIU has it, with the watches of fdinfo: number, events, and the
 * file by inode, handle and a path that leads to it, which is looked for by the handle or among the task's own
 * descriptors. So what was renamed, or was watched through a bind mount, is found.
 *
 * Restored: the watches are added when all files are open, so that nothing of the restore is told, each by the path
 * that its file has by then, under its old number: INOTIFY_IOC_SETNEXTWD (Linux 4.15) sets the next one. Where a
 * path leads to another file by now, and the old one is gone, that one is watched, and it is noted.
 *
 * Noted: events that wait to be read. Nobody can put them back, and a look would take them away. The number of the next
 * watch is unseen: it is the one behind the highest.
 *
 * Refused: watches on files that no path leads to. A deleted one that the tree has open is made anew, and watched by
 * its descriptor.
 *
 * @module
 */
import { isNamedExternal } from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { bytesWaiting, O } from "../../core/linux/fcntl.ts";
import { identifyFile, isSameFile } from "../../core/linux/file_identity.ts";
import { FileFinder } from "../../core/linux/file_handles.ts";
import { lstatPath } from "../../core/linux/files.ts";
import { type InotifyWatch, unlessGone } from "../../core/linux/procfs/mod.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type LoadContext,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
} from "../../core/plugin.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { inotify_file_entry, inotify_wd_entry } from "../../images/gen/watches_pb.ts";
import { FILES } from "../../images/kinds/files.ts";
import { encodeWatch, fileOf, handleOf, validateWatches } from "./watch.ts";

/** `_IOW('I', 0, __s32)` of `include/uapi/linux/inotify.h`; the argument is the number itself. */
const INOTIFY_IOC_SETNEXTWD = 0x40044900;
/** The path is that of the file itself, which may be a symbolic link; and no watch may have no bits at all. */
const IN_DONT_FOLLOW = 0x02000000;

/** The plugin. */
export const inotify: Plugin = definePlugin({
  name: "inotify",
  description: "inotify instances and what they watch",
  checkpoint: checkpointInotify,
  restore: restoreInotify,
});

function checkpointInotify(session: CheckpointSession): CheckpointHooks {
  /** What was found in the first look serves the second: what is renamed in between is found by its handle. */
  const paths = new Map<string, string>();
  let tasks: readonly Task[] = [];
  const locate = (watch: InotifyWatch, task: Task, finder: FileFinder): string | undefined => {
    const { dev, ino: inode } = watch;
    const key = `${dev.major}:${dev.minor} ${inode}`;
    let path = paths.get(key);
    if (path === undefined) {
      path = watch.handle && finder.byHandle({ dev, inode }, watch.handle);
      path ??= task.descriptors.find(({ link, info }) =>
        link.kind === "path" && info.ino === inode && finder.isAt(link.text, { dev, inode })
      )?.link.text;
      path ??= deletedPath(watch, tasks);
      if (path !== undefined) paths.set(key, path);
    }
    return path;
  };
  return {
    survey: (tree) => {
      tasks = tree.tasks;
    },
    descriptors: [{
      kind: "inotify",
      claims: (descriptor) =>
        descriptor.link.kind === "anon-inode" && descriptor.link.path === "inotify" &&
        !isNamedExternal(session.options, descriptor),
      survey(descriptor, task) {
        const watches = watchesOf(descriptor);
        if (watches.length === 0) return undefined;
        using finder = new FileFinder();
        const lost = watches.filter((watch) => locate(watch, task, finder) === undefined);
        const [first] = lost;
        if (first === undefined) return undefined;
        const more = lost.length > 1 ? ` and ${lost.length - 1} more` : "";
        return {
          what: `its inotify descriptor ${descriptor.fd} watches a file that no path leads to ` +
            `(watch ${first.wd}, inode ${first.ino}${more})`,
          hint: "it was deleted, or its file system cannot be asked by handle: " +
            "remove the watch before the checkpoint (inotify_rm_watch)",
        };
      },
      dump({ descriptor, task, id, fown, fd }) {
        const waiting = bytesWaiting(fd);
        if (waiting > 0) {
          session.note(
            `task ${task.pid} has not read ${waiting} bytes of events of its inotify descriptor ` +
              `${descriptor.fd} yet, which a restored one will not see`,
          );
        }
        using finder = new FileFinder();
        const wd = watchesOf(descriptor).map((watch) =>
          encodeWatch(watch, id, locate(watch, task.proc, finder) ?? "")
        );
        return {
          type: fd_types.INOTIFY,
          ify: { id, flags: descriptor.info.flags & ~O.CLOEXEC, fown, wd },
        };
      },
    }],
  };
}

/** The way to a file that was deleted and that a task of the tree has open. */
function deletedPath({ ino: inode, dev }: InotifyWatch, tasks: readonly Task[]) {
  const all = tasks.flatMap((task) => unlessGone(() => task.descriptors, []));
  const found = all.find(({ pid, fd, link, info }) => {
    if (link.kind !== "path" || !link.deleted || info.ino !== inode) return false;
    const file = identifyFile(`/proc/${pid}/fd/${fd}`);
    return file !== undefined && isSameFile(file, { dev, inode });
  });
  return found && `/proc/${found.pid}/fd/${found.fd}`;
}

/** Whether a path is the way to a file that will be made anew, with the tree. */
function isDeleted(path: string): boolean {
  return /^\/proc\/\d+\/fd\/\d+$/.test(path);
}

function watchesOf({ info }: Descriptor): readonly InotifyWatch[] {
  return info.inotify ?? [];
}

function restoreInotify({ images, options, rehearsal, note }: RestoreSession): RestoreHooks {
  /** The path of each watch by instance and number. */
  const paths = new Map<string, string>();
  const find = (watch: inotify_wd_entry, finder: FileFinder, context: LoadContext): string => {
    const { id, wd, fHandle } = watch;
    const saved = fHandle?.path ?? "";
    if (isDeleted(saved)) return saved;
    const remapped = options.remap?.[saved];
    if (remapped !== undefined) return remapped;
    const file = fileOf(watch);
    if (saved !== "" && finder.isAt(saved, file)) return saved;
    const handle = fHandle && handleOf(fHandle, images.pathOf(FILES, null));
    const found = handle && finder.byHandle(file, handle);
    if (found !== undefined) return found;
    // A tree that has been let run on may have deleted it by now.
    if (rehearsal && options.leaveRunning === true) return saved;
    if (saved !== "" && exists(saved)) {
      note(
        `watch ${wd} of inotify instance ${id} was on another ${saved}, and is on the one of now`,
      );
      return saved;
    }
    context.problem({
      what: `the file ${
        saved || `of inode ${file.inode}`
      } that inotify watch ${wd} is on does not exist`,
      hint: "bring it back, or name another one with --remap",
    });
    return saved;
  };
  return {
    load(context) {
      if (!images.has(FILES, null)) return;
      const instances = images.readList(FILES, null).flatMap(({ ify }) => ify ?? []);
      if (instances.every(({ wd }) => wd.length === 0)) return;
      validateWatches(instances, images.pathOf(FILES, null));
      using finder = new FileFinder();
      for (const { id, wd } of instances) {
        for (const watch of wd) paths.set(`${id} ${watch.wd}`, find(watch, finder, context));
      }
    },
    descriptors: [{
      kind: "inotify",
      restores: (file) => file.type === fd_types.INOTIFY && file.ify !== undefined,
      plan({ file, program }) {
        const { flags } = file.ify as inotify_file_entry;
        const nonblocking = flags & O.NONBLOCK;
        const fd = program.call("inotify_init1", O.CLOEXEC | nonblocking);
        planStatusFlags(program, fd, flags, nonblocking);
        return fd;
      },
      connect({ file, home, fd }) {
        const { id, wd } = file.ify as inotify_file_entry;
        // All files have been opened and mapped by then, and roots have not changed yet.
        const program = home.program("thread");
        for (const watch of [...wd].sort((a, b) => a.wd - b.wd)) {
          const path = paths.get(`${id} ${watch.wd}`) ?? "";
          program.call("ioctl", fd, INOTIFY_IOC_SETNEXTWD, watch.wd);
          const mask = isDeleted(path) ? watch.mask : (watch.mask | IN_DONT_FOLLOW) >>> 0;
          program.expect(BigInt(watch.wd), "inotify_add_watch", fd, path, mask);
        }
      },
    }],
  };
}

function exists(path: string): boolean {
  try {
    lstatPath(path);
    return true;
  } catch {
    return false;
  }
}
