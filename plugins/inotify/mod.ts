/**
 * Plugin `inotify`: inotify(7) instances and what they watch.
 *
 * Saved: an `inotify_file_entry` of `files.img`, as CRIU has it, with the watches of fdinfo: number, events, and the
 * file by inode, handle and a path that leads to it, which is looked for by the handle or among the task's own
 * descriptors. So what was renamed, or was watched through a bind mount, is found.
 *
 * Restored: the watches are added when all files are open, so that nothing of that is told, each by the path that its
 * file has by then, under its old number: INOTIFY_IOC_SETNEXTWD (Linux 4.15) sets the next one. Where a
 * path leads to another file by now, and the old one is gone, that one is watched, and it is noted. An instance
 * counts against the limit of the user of its first task (`fs.inotify.max_user_instances`).
 *
 * Noted: watches on directories in which a socket gets its name, which is the last step of a restore: they tell of it,
 * and of the private directory in which it had been. And events that wait to be read: nobody can put them back, and a
 * look would take them away. The number of the next watch is unseen: it is the one behind the highest.
 *
 * Refused: watches on files that no path leads to. A deleted one that the tree has open is made anew, and watched by
 * its descriptor.
 *
 * @module
 */
import { decodeBytes } from "../../base/byte_text.ts";
import { claimsAnonymous } from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { noteUnread, WatchedPaths } from "../../core/checkpoint/watched_files.ts";
import { O } from "../../core/linux/fcntl.ts";
import { FileFinder } from "../../core/linux/file_handles.ts";
import { type InotifyWatch, unlessGone } from "../../core/linux/procfs/mod.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type LoadContext,
  type Plugin,
  remapHint,
  type RestoreHooks,
  type RestoreSession,
} from "../../core/plugin.ts";
import { planAsUser, planStatusFlags } from "../../core/restore/owner.ts";
import { findWatched, isMadeAnew, lostFile } from "../../core/restore/watched_files.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { unix_sk_entry } from "../../images/gen/sockets_pb.ts";
import type { inotify_file_entry, inotify_wd_entry } from "../../images/gen/watches_pb.ts";
import { handleOf } from "../../images/file_handle.ts";
import { FILES } from "../../images/kinds/files.ts";
import { encodeWatch, fileOf, validateWatches } from "./watch.ts";

/** `_IOW('I', 0, __s32)` of `include/uapi/linux/inotify.h`; the argument is the number itself. */
const INOTIFY_IOC_SETNEXTWD = 0x40044900;
/** The path is that of the file itself, which may be a symbolic link; and no watch may have no bits at all. */
const IN_DONT_FOLLOW = 0x02000000;

/** IN_MOVED_TO and IN_DELETE: what is told of a name that a file gets by rename(2), and of one that is gone. */
const IN_NAMES = 0x80 | 0x200;

/** The plugin. */
export const inotify: Plugin = definePlugin({
  name: "inotify",
  description: "inotify instances and what they watch",
  checkpoint: checkpointInotify,
  restore: restoreInotify,
});

function checkpointInotify(session: CheckpointSession): CheckpointHooks {
  const paths = new WatchedPaths();
  const claims = claimsAnonymous(session.options, "inotify");
  return {
    survey({ tasks }) {
      paths.find(
        tasks,
        (task) => unlessGone(() => task.descriptors, []).filter(claims).flatMap(watchesOf),
      );
    },
    descriptors: [{
      kind: "inotify",
      claims,
      survey(descriptor) {
        const lost = watchesOf(descriptor).filter((watch) => paths.of(watch) === undefined);
        const [first] = lost;
        if (first === undefined) return undefined;
        const more = lost.length > 1 ? ` and ${lost.length - 1} more` : "";
        return {
          what: `its inotify descriptor ${descriptor.fd} watches a file that no path leads to ` +
            `(watch ${first.wd}, inode ${first.ino}${more})`,
          hint:
            "it was deleted, has too long a path, or its file system cannot be asked by handle: " +
            "remove the watch before the checkpoint (inotify_rm_watch)",
        };
      },
      dump({ descriptor, id, fown, fd }) {
        noteUnread(session, "inotify", descriptor, fd);
        const wd = watchesOf(descriptor).map((watch) =>
          encodeWatch(watch, id, paths.of(watch) ?? "")
        );
        return {
          type: fd_types.INOTIFY,
          ify: { id, flags: descriptor.info.flags & ~O.CLOEXEC, fown, wd },
        };
      },
    }],
  };
}

function watchesOf({ info }: Descriptor): readonly InotifyWatch[] {
  return info.inotify ?? [];
}

function restoreInotify(session: RestoreSession): RestoreHooks {
  const { images, rehearsal, note } = session;
  /** The path of each watch by instance and number. */
  const paths = new Map<string, string>();
  const find = (watch: inotify_wd_entry, finder: FileFinder, context: LoadContext): string => {
    const { id, wd, fHandle } = watch;
    const handle = fHandle && handleOf(fHandle, images.pathOf(FILES, null));
    const saved = { path: fHandle?.path ?? "", file: fileOf(watch), handle };
    const path = findWatched(saved, finder, session);
    if (path.found === "another") {
      note(
        `watch ${wd} of inotify instance ${id} was on another ${saved.path}, and is on the one of now`,
      );
    } else if (path.found === "none") {
      context.problem(lostFile(saved, `inotify watch ${wd} is on`));
    }
    return path.path;
  };
  /** Says which watches tell of sockets that get their names. */
  const noteNames = (instances: readonly inotify_file_entry[]): void => {
    const sockets = images.readList(FILES, null).flatMap(({ usk }) => usk ?? []);
    const parents = new Set(sockets.filter(({ deleted }) => deleted !== true).flatMap(parentOf));
    for (const { id, wd } of instances) {
      for (const { wd: number } of wd.filter(({ mask }) => (mask & IN_NAMES) !== 0)) {
        const path = paths.get(`${id} ${number}`) ?? "";
        if (!parents.has(path)) continue;
        note(
          `watch ${number} of inotify instance ${id} is told that a socket gets its name in ${path}, ` +
            "and that a directory of the restore's is deleted there",
        );
      }
    }
  };
  return {
    load(context) {
      if (!images.has(FILES, null)) return;
      const instances = images.readList(FILES, null).flatMap(({ ify }) => ify ?? []);
      if (instances.every(({ wd }) => wd.length === 0)) return;
      validateWatches(instances, images.pathOf(FILES, null));
      using finder = new FileFinder();
      for (const { id, wd } of instances) {
        const known = new Map<string, number>();
        for (const watch of wd) {
          const path = find(watch, finder, context);
          paths.set(`${id} ${watch.wd}`, path);
          const file = isMadeAnew(path) ? undefined : finder.identify(path);
          if (file === undefined) continue;
          const { dev, inode } = file;
          const key = `${dev.major}:${dev.minor} ${inode}`;
          const other = known.get(key);
          if (other !== undefined) context.problem(sameFile(path, other, watch.wd));
          known.set(key, watch.wd);
        }
      }
      if (!rehearsal) noteNames(instances);
    },
    descriptors: [{
      kind: "inotify",
      restores: (file) => file.type === fd_types.INOTIFY && file.ify !== undefined,
      plan({ file, program, home }) {
        const { flags } = file.ify as inotify_file_entry;
        const nonblocking = flags & O.NONBLOCK;
        const make = () => program.call("inotify_init1", O.CLOEXEC | nonblocking);
        const user = home?.core.threadCore?.creds;
        // As long as the tree lives, its own are counted as well.
        const fd = user === undefined || rehearsal ? make() : planAsUser(program, user, make);
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
          const mask = isMadeAnew(path) ? watch.mask : (watch.mask | IN_DONT_FOLLOW) >>> 0;
          program.expect(BigInt(watch.wd), "inotify_add_watch", fd, path, mask);
        }
      },
    }],
  };
}

function sameFile(path: string, one: number, other: number) {
  return {
    what:
      `${path} is the file of two inotify watches by now, ${one} and ${other}: an instance can have but one on it`,
    hint: remapHint(path, "bring the other file back"),
  };
}

/** The directory in which a socket has its name; none where it has no path. */
function parentOf({ name, nameDir = "" }: unix_sk_entry): string[] {
  if (name.length === 0 || name[0] === 0) return [];
  const text = decodeBytes(name);
  const path = text.startsWith("/") ? text : `${nameDir === "/" ? "" : nameDir}/${text}`;
  return [path.slice(0, path.lastIndexOf("/")) || "/"];
}
