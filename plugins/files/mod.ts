/**
 * Plugin `files`: open regular files, directories, devices without state, and what is open with O_PATH.
 *
 * Saved: a `reg_file_entry` of `files.img` with the path, the status flags, the position, the owner, and
 * for the check at restore the mode and size. Contents stay where they are: in the file system.
 *
 * Restored: open(2) with the same flags, except those that would create or empty the file, then lseek(2).
 * The kernel drops O_CREAT, O_EXCL, O_NOCTTY and O_TRUNC itself once a file is open (do_dentry_open() of
 * `fs/open.c`), but images may come from elsewhere. Files of /proc/PID of the tree open like any other:
 * by then the tasks exist, and have their pids.
 *
 * Deleted files are saved with their contents and made anew (`core/checkpoint/ghosts.ts`,
 * `core/restore/ghosts.ts`). One that has another name is saved by that, if it is found (`core/checkpoint/other_names.ts`),
 * and gets one for the time being if the user says so (`core/checkpoint/link_remaps.ts`).
 *
 * Refused at the checkpoint: paths that lead elsewhere, triggers of
 * pressure (PSI) and files of /proc of one thread, mapping, or descriptor of another task. Refused at restore, all at once and before anything is built:
 * files that are gone, of another type or another size. A log that is only appended to may grow meanwhile, so
 * its size is not saved (as in CRIU), but where the tree is to be taken up again as if nothing had happened since
 * (`rollbackFiles`): then how files that are written were is in `file-lengths.img`, and what was appended is cut off
 * (`core/contract/rollback.ts`) when the tree is whole.
 *
 * @module
 */
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { isNamedExternal, outsideHolders } from "../../core/checkpoint/outside_holders.ts";
import { AT_FDCWD, F, O } from "../../core/linux/fcntl.ts";
import { cutFile, modifiedAt, statPath } from "../../core/linux/files.ts";
import { syncAround } from "../../core/linux/sync.ts";
import {
  type CheckpointSession,
  definePlugin,
  type DescriptorConnect,
  type DescriptorPlan,
  fileValidationOf,
  type OperationOptions,
  type Plugin,
  remapPath,
  type RestoreSession,
} from "../../core/plugin.ts";
import { eventFiles } from "../../core/restore/event_files.ts";
import { linkedFiles, linkRemapProblem } from "../../core/restore/link_remaps.ts";
import { planStatusFlags, reopenFlags } from "../../core/restore/owner.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import {
  type file_time_entry,
  type reg_file_entry,
  remap_type,
} from "../../images/gen/paths_pb.ts";
import { parentPath } from "../../images/path.ts";
import { uniqueById } from "../../images/unique.ts";
import { isLinkRemap } from "../../images/link_remap.ts";
import {
  FILE_LENGTHS,
  FILE_TIMES,
  FILES,
  GHOST_FILE,
  LINK_REMAPS,
  REMAP_FPATH,
} from "../../images/kinds/files.ts";
import { isPlainFile, S_IFDIR, S_IFMT, S_IFREG } from "./kinds.ts";
import { terminalInfos } from "../tty/image.ts";
import { checkFiles, lookAt, refuseFifo } from "./load.ts";
import { pressureProblem } from "./pressure.ts";
import {
  type Cut,
  isCut,
  judge,
  type Writing,
  writingOf,
  type WrittenFile,
} from "../../core/contract/rollback.ts";
import { descriptorNumber, located, pathProblem } from "./survey.ts";

const SEEK_SET = 0;
/** CRIU's position of what has none. */
const NO_POSITION = 0xffff_ffff_ffff_ffffn;

/** The plugin. */
export const files: Plugin = definePlugin({
  name: "files",
  description: "open regular files, directories and simple devices",
  images: [FILES, REMAP_FPATH, LINK_REMAPS, FILE_TIMES, FILE_LENGTHS, GHOST_FILE],
  checkpoint: (session) => {
    /**
     * The directories of files that are written to. A restore that cuts files back takes those alone that are as long as
     * they were, so after a power cut they have to be: what is not on the images' own file system comes to the disk with
     * those only by itself.
     */
    const written = new Set<string>();
    return {
      survey: ({ tasks }) => outsideHolders(session.writer).look(tasks),
      conclude: () => syncAround(written, session.writer.path, () => session.check()),
      descriptors: [{
        kind: "file",
        claims: (descriptor) =>
          isPlainFile(descriptor) && !isNamedExternal(session.options, descriptor),
        survey: (descriptor) =>
          pressureProblem(descriptor) ?? pathProblem(descriptor, session.options),
        dump({ descriptor, id, fown }) {
          const { info, identity } = descriptor;
          const { path, behind } = located(descriptor, session.options);
          if (behind !== undefined) {
            session.files.ghost(id, behind);
            if ((info.flags & O.TMPFILE) !== 0) {
              session.note(
                `descriptor ${descriptor.fd} of task ${descriptor.pid} is a file without a name (O_TMPFILE): ` +
                  "a restored one may be given a name, also if this one may not (O_EXCL), which nothing tells",
              );
            }
            const [pid] = outsideHolders(session.writer).of(descriptor);
            // Who has a file that lives on under another name shares it with everybody.
            const isGhost = identity.links === 0 || (identity.mode & S_IFMT) === S_IFDIR;
            if (isGhost && pid !== undefined) {
              session.note(
                `task ${pid} has the deleted file ${path} open too, and will not share it`,
              );
            }
          }
          const flags = info.flags & ~O.CLOEXEC;
          const sized = behind === undefined && (identity.mode & S_IFMT) === S_IFREG &&
            !isLog(flags);
          if (sized && fileValidationOf(session.options) === "mtime") {
            const { liveTid, fd } = descriptor;
            const mtime = modifiedAt(`/proc/${liveTid}/fd/${fd}`);
            session.writer.append(FILE_TIMES, null, { id, mtime });
          }
          if (behind === undefined && saveLength(session, id, descriptor)) {
            written.add(parentPath(path));
          }
          return {
            type: fd_types.REG,
            reg: {
              id,
              flags,
              pos: info.pos,
              fown,
              name: path,
              mode: identity.mode,
              size: sized ? BigInt(identity.size) : undefined,
            },
          };
        },
      }],
    };
  },
  restore: (session) => {
    /** What is cut off when the tree is whole. */
    const cuts: Cut[] = [];
    return {
      load(context) {
        const { images, options } = session;
        if (!images.has(FILES, null)) return;
        const entries = images.readList(FILES, null);
        const remaps = images.has(REMAP_FPATH, null) ? images.readList(REMAP_FPATH, null) : [];
        // Deleted files are not looked for: they are made anew.
        const ghosts = new Set(remaps.map(({ origId }) => origId));
        // Nor are ptys, whose names come and go with them.
        const infos = terminalInfos(images);
        for (const { tty } of entries) {
          if (infos.get(tty?.ttyInfoId ?? 0)?.pty !== undefined) ghosts.add(tty?.regfId ?? 0);
        }
        // Those that others were at work on may be anything by now.
        const byId = new Map(entries.map((entry) => [entry.id, entry]));
        const pids = context.tasks.map(({ pid }) => pid);
        for (const id of eventFiles(images, byId, pids)) ghosts.add(id);
        const named = entries.flatMap(({ id, reg }) =>
          reg === undefined || ghosts.has(id) ? [] : [reg]
        );
        // A tree that has been let run on may have deleted some by now.
        const changes = session.rehearsal && options.leaveRunning === true;
        // A file system may take its time with each of them.
        const look = (path: string, link: boolean) => {
          session.check();
          return lookAt(path, link);
        };
        const times = images.has(FILE_TIMES, null) ? images.readList(FILE_TIMES, null) : [];
        if (!changes) {
          const isWanted = options.rollbackFiles === true && !session.rehearsal;
          const written = isWanted ? writtenFiles(session) : [];
          const judged = new Set<string>();
          for (const file of written) {
            const verdict = judgeWritten(file, options);
            if (isCut(verdict)) {
              const { path, length, found } = verdict;
              session.note(
                `${path} is cut back from ${found} bytes to ${length}, as at the checkpoint`,
              );
              cuts.push(verdict);
            } else if (verdict !== undefined) context.problem(verdict);
            judged.add(file.path);
          }
          // Of those no other size than was saved is a problem, or it has been told.
          const others = named.filter(({ name }) => !judged.has(remapPath(name, options)));
          checkFiles(others, context, options, {
            look,
            isMade: session.isMade,
            savedTimes: uniqueTimes(times, images.pathOf(FILE_TIMES, null)),
          });
        }
        // Names of deleted files, too, are where the user says.
        const regular = entries.flatMap(({ reg }) => reg ?? []);
        const names = new Map(regular.map(({ id, name }) => [id, remapPath(name, options)]));
        const linked = linkedFiles(images);
        for (const { origId, remapId, remapType } of remaps) {
          if (remapType === remap_type.GHOST || remapType === remap_type.PROCFS) continue;
          const name = names.get(remapId);
          if (remapType === remap_type.LINKED && name !== undefined && isLinkRemap(name)) {
            const problem = fileValidationOf(options) === "none"
              ? undefined
              : linkRemapProblem(name, linked.get(remapId));
            if (problem !== undefined) context.problem(problem);
            continue;
          }
          context.problem({
            what: `the images have file ${origId} under another name, ${name ?? `file ${remapId}`}`,
            hint:
              "only names that --link-remap makes (link_remap.N, link_remap.N-R) can be used so: those are deleted at the end",
          });
        }
      },
      descriptors: [{
        kind: "file",
        restores: (file) => file.type === fd_types.REG && file.reg !== undefined,
        plan: ({ file, program, tree }: DescriptorPlan) => {
          const reg = file.reg as reg_file_entry;
          refuseFifo(reg, tree.files.pathOf(file.id), lookAt);
          const flags = reopenFlags(reg.flags);
          const leave = planNumber(program, reg.name);
          const fd = tree.files.open(program, file.id, flags);
          leave();
          if ((reg.flags & O.PATH) !== 0) return fd;
          if (!tellsOfDescriptor(file)) planPosition(program.call.bind(program), fd, reg);
          planStatusFlags(program, fd, reg.flags, flags);
          return fd;
        },
        connect({ file, program, fd }: DescriptorConnect) {
          // Where what it tells of is not there yet, a position cannot be set.
          if (!tellsOfDescriptor(file)) return;
          planPosition(program.call.bind(program), fd, file.reg as reg_file_entry);
        },
      }],
      complete() {
        for (const { path, length } of cuts) cutFile(path, length);
      },
    };
  },
});

/** Saves how a regular file that is open for writing is, where the user wants that; says whether it did. */
function saveLength(
  { options, writer }: CheckpointSession,
  id: number,
  { liveTid, fd, info, identity }: Descriptor,
): boolean {
  if (options.rollbackFiles !== true || (identity.mode & S_IFMT) !== S_IFREG) return false;
  const length = BigInt(identity.size);
  const writing = writingOf(info, length);
  if (writing === undefined) return false;
  const mtime = modifiedAt(`/proc/${liveTid}/fd/${fd}`);
  writer.append(FILE_LENGTHS, null, { id, length, mtime, ...writing });
  return true;
}

/** The regular files that were being written, and are there, by their paths on this machine. */
function writtenFiles({ images, options }: RestoreSession): WrittenFile[] {
  if (!images.has(FILE_LENGTHS, null)) return [];
  const lengths = images.readList(FILE_LENGTHS, null);
  const byId = uniqueById(lengths, ({ id }) => id, images.pathOf(FILE_LENGTHS, null), "file");
  const byPath = new Map<string, Writing[]>();
  for (const { reg } of images.readList(FILES, null)) {
    const writing = reg && byId.get(reg.id);
    if (writing === undefined) continue;
    const path = remapPath(reg!.name, options);
    const found = lookAt(path, false);
    // What is not there, or is something else now, is told with all others of which that is so.
    if (typeof found === "string" || (found.mode & S_IFMT) !== S_IFREG) continue;
    const others = byPath.get(path);
    if (others === undefined) byPath.set(path, [writing]);
    else others.push(writing);
  }
  return Array.from(byPath, ([path, writings]) => ({ path, writings }));
}

/** Looks at a file that was being written, and judges it. */
function judgeWritten(file: WrittenFile, options: OperationOptions): ReturnType<typeof judge> {
  const { path } = file;
  const found = { length: BigInt(statPath(path).size), mtime: modifiedAt(path) };
  return judge(file, found, fileValidationOf(options));
}

/**
 * Sees to it that a file of `/proc` of one descriptor is there when it is opened: some descriptor has that number, if
 * that one has not got it yet. What is in the file is found when it is read (seq_show() of `fs/proc/fd.c`).
 *
 * @returns adds the calls that give the number back
 */
function planNumber(program: SyscallProgram, path: string): () => void {
  const number = descriptorNumber(path);
  if (number === undefined) return () => {};
  const root = program.call("openat", AT_FDCWD, "/", O.PATH | O.CLOEXEC, 0);
  // The lowest that is free from there on: another one where the number is taken.
  const held = program.call("fcntl", root, F.DUPFD_CLOEXEC, number);
  return () => {
    program.call("close", held);
    program.call("close", root);
  };
}

/** Whether a file is one of `/proc` that tells of a descriptor. */
function tellsOfDescriptor({ reg }: file_entry): boolean {
  return reg !== undefined && (reg.flags & O.PATH) === 0 &&
    descriptorNumber(reg.name) !== undefined;
}

/** Adds the call that sets the position; a new open file is at 0, and devices have none. */
function planPosition(
  call: (name: "lseek", ...args: Argument[]) => unknown,
  fd: Argument,
  { pos, mode }: reg_file_entry,
): void {
  if (pos === 0n || pos === NO_POSITION) return;
  const type = mode & S_IFMT;
  // 0: the images do not say.
  if (type === S_IFREG || type === S_IFDIR || type === 0) call("lseek", fd, pos, SEEK_SET);
}

/** The times of the images by the id of the file. */
function uniqueTimes(
  entries: readonly file_time_entry[],
  file: string,
): ReadonlyMap<number, bigint> {
  const byId = uniqueById(entries, ({ id }) => id, file, "file");
  return new Map([...byId].map(([id, { mtime }]) => [id, mtime]));
}

/** Whether a file is only appended to: its size is nobody's business then. */
function isLog(flags: number): boolean {
  return (flags & O.ACCMODE) === O.WRONLY && (flags & O.APPEND) !== 0;
}
