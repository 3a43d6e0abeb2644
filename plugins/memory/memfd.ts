/**
 * Memfds, and what is alike, as descriptors: `files.img` has the open file, `memfd.img` the object behind it.
 *
 * @module
 */
import { F, O, SETFL_MASK } from "../../core/linux/fcntl.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import type { DescriptorDumper, DescriptorPlanner } from "../../core/plugin.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { SHARED_MEMORY_NAME, type SharedObjects } from "./shared_objects.ts";
import type { ObjectPlans } from "./plan_objects.ts";

const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;

/** A descriptor's path below /proc. */
function procPath({ liveTid, fd }: Descriptor): string {
  return `/proc/${liveTid}/fd/${fd}`;
}

/** Whether a descriptor is of shared anonymous memory: somebody opened it through /proc/PID/map_files. */
export function isSharedMemory(descriptor: Descriptor): boolean {
  // Its type is one more question, and there may be thousands of others.
  return descriptor.link.text === `${SHARED_MEMORY_NAME} (deleted)` &&
    descriptor.fileType === 0o100000; // S_IFREG
}

/** Saves memfds. */
export function memfdDumper(shared: SharedObjects): DescriptorDumper {
  return {
    kind: "memfd",
    claims: (descriptor) => descriptor.link.kind === "memfd" || isSharedMemory(descriptor),
    dump({ descriptor, id, fown }) {
      const path = procPath(descriptor);
      const inode = BigInt(descriptor.identity.ino);
      return {
        type: fd_types.MEMFD,
        memfd: {
          id,
          flags: descriptor.info.flags & ~O_CLOEXEC,
          pos: descriptor.info.pos,
          fown,
          inodeId: shared.memfdInode(inode, descriptor.link.path, path),
        },
      };
    },
  };
}

/** Restores memfds: every task inherits the object from the seed, as a descriptor to use or to open anew. */
export function memfdPlanner(objects: ObjectPlans): DescriptorPlanner {
  /** Objects whose first description has an owner already. */
  const taken = new Set<number>();
  return {
    kind: "memfd",
    restores: ({ type }) => type === fd_types.MEMFD,
    plan({ file, program }) {
      const memfd = file.memfd!;
      const object = objects.memfd(memfd.inodeId);
      // What memfd_create gave does not count as open for writing, and any that is opened later does: with
      // such a one around, execveat(2) of it fails with ETXTBSY. So the first that can write is that one.
      const first = (memfd.flags & O.ACCMODE) === O.RDWR && !taken.has(memfd.inodeId);
      if (first) taken.add(memfd.inodeId);
      const path = `/proc/self/fd/${object.service}`;
      const fd = first
        ? object.service
        : program.call("openat", AT_FDCWD, path, memfd.flags & ~O.ASYNC, 0);
      if (first && (memfd.flags & SETFL_MASK) !== 0) {
        program.call("fcntl", fd, F.SETFL, memfd.flags & SETFL_MASK);
      }
      if (memfd.pos !== 0n) program.expect(memfd.pos, "lseek", fd, memfd.pos, 0);
      return fd;
    },
  };
}
