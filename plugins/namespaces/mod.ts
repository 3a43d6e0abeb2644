/**
 * Plugin `namespaces`: descriptors of namespaces (open files of /proc/PID/ns), as long as they are those that the
 * whole tree is in: the tool's own ones, and that of control groups.
 *
 * Saved: a `ns_file_entry` of `files.img` with the type of the namespace (its CLONE_NEW* flag) and the id
 * that `ids-PID.img` has for it. The namespace itself is not saved.
 *
 * Restored: open(2) of the restored task's own /proc/self/ns/TYPE. After a restore elsewhere that is the
 * namespace in which the tree is there.
 *
 * @module
 */
import { namespaceIds } from "../../core/checkpoint/dump.ts";
import { isNamedExternal } from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { readTaskLink } from "../../core/linux/procfs/mod.ts";
import { definePlugin, type LoadContext, type Plugin } from "../../core/plugin.ts";
import { planStatusFlags, reopenFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { ns_file_entry } from "../../images/gen/namespaces_pb.ts";
import { IDS } from "../../images/kinds/core.ts";
import { FILES } from "../../images/kinds/files.ts";
import type { ImageDirectory } from "../../images/mod.ts";

/** CLONE_NEW* (`include/uapi/linux/sched.h`) by the type, as /proc/PID/ns names it. */
const FLAGS = {
  time: 0x0000_0080,
  mnt: 0x0002_0000,
  cgroup: 0x0200_0000,
  uts: 0x0400_0000,
  ipc: 0x0800_0000,
  user: 0x1000_0000,
  pid: 0x2000_0000,
  net: 0x4000_0000,
} as const;

type Type = keyof typeof FLAGS;

function typeOf({ link }: Descriptor): Type | undefined {
  return link.kind === "object" && link.path in FLAGS ? link.path as Type : undefined;
}

/** The plugin. */
export const namespaces: Plugin = definePlugin({
  name: "namespaces",
  description: "descriptors of the namespaces that the tree is in",
  checkpoint: (session) => ({
    descriptors: [{
      kind: "namespace",
      claims: (descriptor) =>
        typeOf(descriptor) !== undefined && !isNamedExternal(session.options, descriptor),
      survey(descriptor) {
        const { link, fd, liveTid } = descriptor;
        if (readTaskLink(liveTid, `ns/${link.path}`) === link.text) return undefined;
        return {
          what: `its descriptor ${fd} is another namespace than its own: ${link.text}`,
          hint:
            "close it before the checkpoint: only the tree's own namespaces are there at restore",
        };
      },
      dump({ descriptor, task, id }) {
        const type = typeOf(descriptor) as Type;
        const nsId = namespaceIds(task.proc.liveTid)[`${type}NsId`] ?? 0;
        const flags = descriptor.info.flags & ~O.CLOEXEC;
        return { type: fd_types.NS, nsf: { id, nsId, nsCflag: FLAGS[type], flags } };
      },
    }],
  }),
  restore: ({ images }) => ({
    load: (context) => checkNamespaces(images, context),
    descriptors: [{
      kind: "namespace",
      restores: ({ type, nsf }) => type === fd_types.NS && nsf !== undefined,
      plan({ file, program }) {
        const { nsCflag, flags } = file.nsf as ns_file_entry;
        const how = reopenFlags(flags) | O.CLOEXEC;
        const path = `/proc/self/ns/${typeOfFlag(nsCflag)}`;
        const fd = program.call("openat", AT_FDCWD, path, how, 0);
        if ((flags & O.PATH) === 0) planStatusFlags(program, fd, flags, how);
        return fd;
      },
    }],
  }),
});

/** Reports descriptors of namespaces in which the tree is not. */
function checkNamespaces(images: ImageDirectory, { tasks, problem }: LoadContext): void {
  const [root] = tasks;
  if (root === undefined || !images.has(FILES, null)) return;
  const ids = images.has(IDS, root.pid) ? images.read(IDS, root.pid) : undefined;
  for (const { nsf } of images.readList(FILES, null)) {
    if (nsf === undefined) continue;
    const type = typeOfFlag(nsf.nsCflag);
    if (type !== undefined && (ids === undefined || ids[`${type}NsId`] === nsf.nsId)) continue;
    problem({
      what: `file ${nsf.id} of the images is a namespace that the tree is not in (${
        type ?? `type 0x${nsf.nsCflag.toString(16)}`
      })`,
      hint: "such descriptors cannot be restored",
    });
  }
}

function typeOfFlag(flag: number): Type | undefined {
  return (Object.keys(FLAGS) as Type[]).find((type) => FLAGS[type] === flag);
}
