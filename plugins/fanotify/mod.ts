/**
 * Plugin `fanotify`: fanotify(7) groups and what they watch.
 *
 * Saved: a `fanotify_file_entry` of `files.img`, as CRIU has it, with the marks of fdinfo: on files by inode, handle and
 * a path that leads to it (as with inotify), on mounts and whole file systems by a path.
 *
 * Restored: the marks are set when all files are open. It takes CAP_SYS_ADMIN, as to make most groups does.
 *
 * Noted: events that wait to be read; nobody can put them back, and a look would take them away. And that marks on
 * mounts and file systems tell of what the restore itself does there from then on.
 *
 * Refused: groups that others ask for permission: as long as the tree stands still, whoever opens a file that is
 * watched would wait for it, this process too. And marks on files that no path leads to.
 *
 * @module
 */
import { claimsAnonymous } from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { noteUnread, type WatchedFile, WatchedPaths } from "../../core/checkpoint/watched_files.ts";
import { CAP } from "../../core/linux/capability.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { FileFinder } from "../../core/linux/file_handles.ts";
import {
  type FanotifyMark,
  type MountInfo,
  readMountinfo,
  unlessGone,
} from "../../core/linux/procfs/mod.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
} from "../../core/plugin.ts";
import { planAsUser, planStatusFlags } from "../../core/restore/owner.ts";
import { findWatched, isMadeAnew, lostFile } from "../../core/restore/watched_files.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { type fanotify_file_entry, mark_type } from "../../images/gen/watches_pb.ts";
import { FILES } from "../../images/kinds/files.ts";
import { asksPermission, encodeMark, FAN_MARK, markCalls, markedFile } from "./mark.ts";

/** Of fanotify_init(2): a flag of the descriptor, and what groups of the unprivileged have. */
const FAN_NONBLOCK = 2, FAN_REPORT_FID = 0x200;

/** The plugin. */
export const fanotify: Plugin = definePlugin({
  name: "fanotify",
  description: "fanotify groups and what they watch",
  checkpoint: checkpointFanotify,
  restore: restoreFanotify,
});

function checkpointFanotify(session: CheckpointSession): CheckpointHooks {
  const paths = new WatchedPaths();
  const pathOf = (mark: FanotifyMark): string | undefined => {
    const file = fileOf(mark);
    if (file !== undefined) return paths.of(file);
    const { mountId, dev } = mark;
    return topMounts().find((mount) =>
      mountId === undefined
        ? mount.dev.major === dev?.major && mount.dev.minor === dev.minor
        : mount.id === mountId
    )?.mountPoint;
  };
  const claims = claimsAnonymous(session.options, "fanotify");
  return {
    survey({ tasks }) {
      paths.find(
        tasks,
        (task) =>
          unlessGone(() => task.descriptors, []).filter(claims).flatMap(marksOf)
            .flatMap((mark) => fileOf(mark) ?? []),
      );
    },
    descriptors: [{
      kind: "fanotify",
      claims,
      survey(descriptor) {
        const marks = marksOf(descriptor);
        const what = `its fanotify descriptor ${descriptor.fd}`;
        if (marks.some(asksPermission)) {
          return {
            what: `${what} is asked for permission by whoever uses files that it watches`,
            hint:
              "while the tree stands still nobody would get it: remove those marks before the checkpoint",
          };
        }
        const lost = marks.find((mark) => pathOf(mark) === undefined);
        if (lost === undefined) return undefined;
        return {
          what: `${what} watches ${
            lost.ino === undefined
              ? "a mount that is not seen from here"
              : `inode ${lost.ino}, which no path leads to`
          }`,
          hint: "remove the mark before the checkpoint (fanotify_mark with FAN_MARK_REMOVE)",
        };
      },
      dump({ descriptor, id, fown, fd }) {
        noteUnread(session, "fanotify", descriptor, fd);
        const marks = marksOf(descriptor);
        // CRIU knows no marks on file systems.
        if (marks.some(({ ino, mountId }) => ino === undefined && mountId === undefined)) {
          session.requirePlugin();
        }
        return {
          type: fd_types.FANOTIFY,
          ffy: {
            id,
            flags: descriptor.info.flags & ~O.CLOEXEC,
            fown,
            faflags: descriptor.info.fanotify?.flags ?? 0,
            evflags: descriptor.info.fanotify?.eventFlags ?? 0,
            mark: marks.map((mark) => encodeMark(mark, id, pathOf(mark) ?? "")),
          },
        };
      },
    }],
  };
}

function marksOf({ info }: Descriptor): readonly FanotifyMark[] {
  return info.fanotify?.marks ?? [];
}

/** The file that a mark is on, if it is on one. */
function fileOf({ ino, dev, handle }: FanotifyMark): WatchedFile | undefined {
  return ino === undefined || dev === undefined ? undefined : { ino, dev, handle };
}

/** The mounts that can be reached: nothing else is mounted over them at the same place. */
function topMounts(): MountInfo[] {
  return [...new Map(readMountinfo(Deno.pid).map((mount) => [mount.mountPoint, mount])).values()];
}

function restoreFanotify(session: RestoreSession): RestoreHooks {
  const { images, rehearsal, note, machine } = session;
  /** The paths of each group's marks. */
  const paths = new Map<number, string[]>();
  return {
    load({ problem }) {
      if (!images.has(FILES, null)) return;
      const groups = images.readList(FILES, null).flatMap(({ ffy }) => ffy ?? []);
      if (groups.length === 0) return;
      if ((machine.privileges.caps.effective & CAP.SYS_ADMIN) === 0n) {
        problem({
          what: "fanotify groups take CAP_SYS_ADMIN to restore",
          hint: "restore as root",
        });
      }
      using finder = new FileFinder();
      for (const { id, mark: marks } of groups) {
        const found: string[] = [];
        paths.set(id, found);
        for (const mark of marks) {
          const saved = markedFile(mark, images.pathOf(FILES, null));
          const who = `a mark of fanotify group ${id} is on`;
          if (asksPermission(mark) || asksPermission({ mask: mark.ignoredMask })) {
            // Nobody would answer while the tree is built, and whoever opens a file would wait for it.
            problem({ what: `${who} files that others ask for permission to use` });
          }
          if (saved === undefined) {
            const path = mark.me?.path ?? "";
            found.push(path);
            if (!topMounts().some(({ mountPoint }) => mountPoint === path)) {
              problem({
                what: `${who} all of ${path}, where nothing is mounted`,
                hint: "mount it there, as it was",
              });
            } else if (!rehearsal) note(`${who} all of ${path}: it tells of the restore, too`);
            continue;
          }
          const now = findWatched(saved, finder, session);
          found.push(now.path);
          if (now.found === "none") problem(lostFile(saved, who));
          if (now.found === "another") note(`${who} ${now.path}, which is another file by now`);
        }
      }
    },
    descriptors: [{
      kind: "fanotify",
      restores: (file) => file.type === fd_types.FANOTIFY && file.ffy !== undefined,
      plan({ file, program, home }) {
        const { flags, faflags, evflags } = file.ffy as fanotify_file_entry;
        const make = () => program.call("fanotify_init", faflags, evflags);
        const user = home?.core.threadCore?.creds;
        // Only groups that report handles can be the unprivileged's.
        const fd = user === undefined || rehearsal || (faflags & FAN_REPORT_FID) === 0
          ? make()
          : planAsUser(program, user, make);
        planStatusFlags(program, fd, flags, (faflags & FAN_NONBLOCK) === 0 ? 0 : O.NONBLOCK);
        return fd;
      },
      connect({ file, home, fd }) {
        // All files have been opened and mapped by then, and roots have not changed yet.
        const program = home.program("thread");
        const { id, mark: marks } = file.ffy as fanotify_file_entry;
        // fdinfo lists the latest first.
        for (const [index, mark] of [...marks.entries()].reverse()) {
          const path = paths.get(id)?.[index] ?? "";
          const follow = mark.type !== mark_type.INODE || isMadeAnew(path)
            ? 0
            : FAN_MARK.DONT_FOLLOW;
          for (const { flags, mask } of markCalls(mark)) {
            program.call("fanotify_mark", fd, flags | follow, mask, AT_FDCWD, path);
          }
        }
      },
    }],
  };
}
