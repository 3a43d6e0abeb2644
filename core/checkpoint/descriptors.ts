/**
 * Descriptors: finds which of them share one open file description, has each description saved once by
 * the plugin that claims it, and writes each descriptor table (`fdinfo-ID.img`).
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { fdinfo_entrySchema } from "../../images/gen/descriptors_pb.ts";
import type { fown_entrySchema } from "../../images/gen/file_owner_pb.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { FDINFO } from "../../images/kinds/files.ts";
import { type Hooked, runHook } from "../hooks.ts";
import { isErrno } from "../linux/errno.ts";
import { findOrdered, KCMP, kcmp } from "../linux/kcmp.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { openPidfd, type OwnedDescriptor, takeDescriptor } from "../linux/pidfd.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import type { CheckpointHooks, CheckpointSession, DescriptorDump, FrozenTask } from "../plugin.ts";
import { descriptorClaims, onlyClaim } from "./claims.ts";
import type { Descriptor } from "./task.ts";

const O_CLOEXEC = 0o2000000;
const FD_CLOEXEC = 1;

/** An open file description and one descriptor of it. */
interface Description {
  readonly descriptor: Descriptor;
  readonly id: number;
  readonly type: number;
}

/**
 * Saves the descriptors of all tasks.
 *
 * @param filesId the id of a task's descriptor table
 */
export function dumpDescriptors(
  tasks: readonly FrozenTask[],
  session: CheckpointSession,
  plugins: readonly Hooked<CheckpointHooks>[],
  filesId: (task: FrozenTask) => number,
): void {
  const known = new Map<string, Description[]>();
  for (const task of tasks) {
    if (task.filesOwner !== task.pid) continue;
    const entries: MessageInitShape<typeof fdinfo_entrySchema>[] = [];
    using pidfd = openPidfd(task.pid);
    for (const descriptor of task.proc.descriptors) {
      session.check();
      const { id, type } = find(known, descriptor, () => {
        const { plugin, dumper } = onlyClaim(
          descriptorClaims(descriptor, task.proc, plugins),
          `descriptor ${descriptor.fd} of task ${task.pid}`,
        );
        using duplicate = takeDescriptor(pidfd, task.pid, descriptor.fd);
        let type = 0;
        const id = session.files.add((id) => {
          const context: DescriptorDump = {
            descriptor,
            task,
            id,
            fd: duplicate.fd,
            fown: ownerOf(duplicate),
          };
          const image = runHook(plugin, () => dumper.dump(context));
          type = image.type;
          return image;
        });
        return { descriptor, id, type };
      });
      const flags = (descriptor.info.flags & O_CLOEXEC) !== 0 ? FD_CLOEXEC : 0;
      entries.push({ id, flags, type, fd: descriptor.fd });
    }
    session.writer.writeList(FDINFO, filesId(task), entries);
  }
}

/**
 * The description of a descriptor among those known, or a new one. kcmp(2) decides, but only between
 * descriptors that look the same. Flags and position do not count: somebody outside who has the description
 * too may change them between two looks. The known ones of each look are kept in kcmp's order, so a search takes
 * logarithmically many calls.
 */
function find(
  known: Map<string, Description[]>,
  descriptor: Descriptor,
  make: () => Description,
): Description {
  const { link, info } = descriptor;
  const key = `${link.text}\0${info.mountId} ${info.ino}`;
  let alike = known.get(key);
  if (alike === undefined) known.set(key, alike = []);
  const { index, found } = findOrdered(
    alike,
    ({ descriptor: other }) => kcmp(descriptor.pid, other.pid, KCMP.FILE, descriptor.fd, other.fd),
  );
  if (found) return alike[index] as Description;
  const made = make();
  alike.splice(index, 0, made);
  return made;
}

const F_GETSIG = 11;
const F_GETOWN_EX = 16;
const F_GETOWNER_UIDS = 17;
const ownerWords = new Int32Array(2);
const ownerBytes = new Uint8Array(ownerWords.buffer);
const uidWords = new Uint32Array(2);
const uidBytes = new Uint8Array(uidWords.buffer);

/** Who gets the signals of a description (fcntl(2)); nobody where the kind knows none (O_PATH). */
function ownerOf({ fd }: OwnedDescriptor): MessageInitShape<typeof fown_entrySchema> {
  const signal = syscall(SYSCALLS.fcntl, fd, F_GETSIG, 0);
  if (isErrno(signal)) return NO_OWNER;
  syscall(SYSCALLS.fcntl, fd, F_GETOWN_EX, ownerBytes);
  const [pidType, pid] = ownerWords as unknown as [number, number];
  if (pid === 0) return { ...NO_OWNER, signum: Number(signal) };
  syscall(SYSCALLS.fcntl, fd, F_GETOWNER_UIDS, uidBytes);
  const [uid, euid] = uidWords as unknown as [number, number];
  return { uid, euid, signum: Number(signal), pidType, pid };
}
