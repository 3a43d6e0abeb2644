/**
 * Descriptors: finds which of them share one open file description, has each description saved once by
 * the plugin that claims it, and writes each descriptor table (`fdinfo-ID.img`).
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { fdinfo_entrySchema } from "../../images/gen/descriptors_pb.ts";
import { FDINFO } from "../../images/kinds/files.ts";
import { type Hooked, runHook } from "../hooks.ts";
import { findOrdered, KCMP, kcmp } from "../linux/kcmp.ts";
import { openThreadPidfd } from "../linux/pidfd.ts";
import type { CheckpointHooks, CheckpointSession, DescriptorDump, FrozenTask } from "../plugin.ts";
import { descriptorClaims, onlyClaim } from "./claims.ts";
import { MOST_TAKEN, TakenDescriptors } from "./taken_descriptors.ts";
import { descriptorIds } from "./descriptor_ids.ts";
import type { Descriptor, Task } from "./task.ts";

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
  const ids = descriptorIds(session.writer);
  for (const task of tasks) {
    if (task.filesOwner !== task.pid) continue;
    const entries: MessageInitShape<typeof fdinfo_entrySchema>[] = [];
    for (const { pidfd, pid, part } of takenTogether(task.proc)) {
      using taken = new TakenDescriptors(pidfd, pid, part);
      for (const [index, descriptor] of part.entries()) {
        session.check();
        const { id, type } = find(known, descriptor, () => {
          const { plugin, offered: dumper } = onlyClaim(
            descriptorClaims(descriptor, task.proc, plugins),
            `descriptor ${descriptor.fd} of task ${task.pid}`,
          );
          const fd = taken.fd(index);
          let type = 0;
          const id = session.files.add((id) => {
            const context: DescriptorDump = { descriptor, task, id, fd, fown: taken.owner(index) };
            const image = runHook(plugin, () => dumper.dump(context));
            type = image.type;
            return image;
          });
          return { descriptor, id, type };
        });
        ids.set(descriptor, id);
        if (descriptor.isInFlight) continue;
        const flags = (descriptor.info.flags & O_CLOEXEC) !== 0 ? FD_CLOEXEC : 0;
        entries.push({ id, flags, type, fd: descriptor.fd });
      }
    }
    session.writer.writeList(FDINFO, filesId(task), entries);
  }
}

/** The descriptors of a task, as many at a time as are taken together: its own, and those that others keep for it. */
function* takenTogether({ descriptors }: Task) {
  for (const [pid, all] of Map.groupBy(descriptors, ({ pid }) => pid)) {
    using pidfd = openThreadPidfd(all[0]?.liveTid ?? pid, pid);
    for (let from = 0; from < all.length; from += MOST_TAKEN) {
      yield { pidfd, pid, part: all.slice(from, from + MOST_TAKEN) };
    }
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
    ({ descriptor: other }) =>
      kcmp(descriptor.liveTid, other.liveTid, KCMP.FILE, descriptor.fd, other.fd),
  );
  if (found) return alike[index] as Description;
  const made = make();
  alike.splice(index, 0, made);
  return made;
}
