/**
 * The kinds of mapping, as they are saved. Each kind says how `mm-PID.img` describes it.
 *
 * @module
 */
import type { Task } from "../../core/checkpoint/task.ts";
import type { Problem } from "../../base/errors.ts";
import { readLink } from "../../core/linux/files.ts";
import { type MappingKind, mappingKind, PROT_EXEC, type Vma } from "../../core/linux/procfs/mod.ts";
import type { CheckpointSession, MappingDumper } from "../../core/plugin.ts";
import {
  VMA_ANON_PRIVATE,
  VMA_ANON_SHARED,
  VMA_AREA_AIORING,
  VMA_AREA_HEAP,
  VMA_AREA_MEMFD,
  VMA_AREA_REGULAR,
  VMA_AREA_UPROBES,
  VMA_AREA_VDSO,
  VMA_AREA_VSYSCALL,
  VMA_AREA_VVAR,
  VMA_FILE_PRIVATE,
  VMA_FILE_SHARED,
} from "../../images/flags.ts";
import { ringProblem } from "./aio_checkpoint.ts";
import { isRing } from "./aio_ring.ts";
import { mapFilesPath, type MappedFiles } from "./file_check.ts";
import { isReserved, reservedPageSize } from "./huge_pages.ts";
import { isTracked } from "./tracked.ts";
import type { SharedObjects } from "./shared_objects.ts";
import { hasOwnVdso } from "./vdso.ts";
import { describeVma } from "./vma_image.ts";

type SurveyProblem = Omit<Problem, "plugin" | "pid"> | undefined;

const O_RDONLY = 0, O_RDWR = 2;

/** Names that mappings of the kernel's own have. */
const KERNEL_STATUS: Partial<Record<MappingKind, number>> = {
  vdso: VMA_AREA_REGULAR | VMA_AREA_VDSO | VMA_ANON_PRIVATE,
  vvar: VMA_AREA_REGULAR | VMA_AREA_VVAR | VMA_ANON_PRIVATE,
  vvar_vclock: VMA_AREA_REGULAR | VMA_AREA_VVAR | VMA_ANON_PRIVATE,
  vsyscall: VMA_AREA_VSYSCALL | VMA_ANON_PRIVATE,
};

/** A mapping's addresses, for people. */
function rangeOf(vma: Vma): string {
  return `${vma.start.toString(16)}-${vma.end.toString(16)}`;
}

/**
 * What no kind of mapping may have, with the reason.
 *
 * @param isOnlyTracked whether its registration with a userfaultfd changes nothing for the program
 */
export function surveyFlags(vma: Vma, isOnlyTracked: () => boolean = () => false): SurveyProblem {
  if (["um", "uw", "ui"].some((code) => vma.flags.has(code)) && !isOnlyTracked()) {
    return {
      what: `its mapping ${rangeOf(vma)} is registered with a userfaultfd, which cannot be saved`,
      hint: "have the program unregister it first",
    };
  }
  if (vma.flags.has("ss")) {
    return {
      what: `its mapping ${rangeOf(vma)} is a shadow stack, which cannot be saved yet`,
      hint: "start it without user shadow stacks (GLIBC_TUNABLES=glibc.cpu.x86_shstk=off)",
    };
  }
  if (vma.flags.has("sf")) {
    return {
      what: `its mapping ${rangeOf(vma)} was made with MAP_SYNC, which cannot be saved yet`,
    };
  }
  // Memory that may only be executed has a key of the kernel's own choice.
  if ((vma.protectionKey ?? 0) !== 0 && vma.prot !== PROT_EXEC) {
    return {
      what: `its mapping ${
        rangeOf(vma)
      } has protection key ${vma.protectionKey}, which cannot be saved yet`,
      hint: "have the program use mprotect instead of pkey_mprotect",
    };
  }
  return undefined;
}

/** A vDSO that was written to has pages of its own: at restore there is only the kernel's. */
function surveyVdso(vma: Vma, { pid }: Task): SurveyProblem {
  if (mappingKind(vma) !== "vdso" || vma.anonymous === 0 || hasOwnVdso(pid, vma)) return undefined;
  return {
    what: `its vDSO (${rangeOf(vma)}) has been changed, which cannot be saved`,
    hint: "leave the program's vDSO alone: a tracer or a sandbox may have patched it",
  };
}

/**
 * The kind of a mapping, also of one whose name was covered by prctl(PR_SET_VMA_ANON_NAME): named shared
 * memory may be a memfd or not.
 */
function kindOf(vma: Vma, task: Task): { readonly kind: MappingKind; readonly name: string } {
  const kind = mappingKind(vma);
  if (kind !== "named-shared-anonymous") return { kind, name: vma.name };
  let link: string;
  try {
    link = readLink(mapFilesPath(task.liveTid, vma));
  } catch {
    return { kind: "shared-anonymous", name: vma.name };
  }
  const name = link.replace(/ \(deleted\)$/, "");
  return { kind: mappingKind({ name, deleted: true }), name };
}

/** The mapping dumpers of this plugin. */
export function mappingDumpers(
  session: CheckpointSession,
  files: MappedFiles,
  shared: SharedObjects,
): MappingDumper[] {
  const surveyPrivate = (vma: Vma, task: Task): SurveyProblem =>
    surveyFlags(vma, () => isTracked(task.liveTid, vma));
  const isFile = (vma: Vma): boolean =>
    mappingKind(vma) === "file" && vma.name.startsWith("/") && !isUnusual(vma) &&
    // Memory of a device, whatever its file looks like.
    !vma.flags.has("io") && !vma.flags.has("pf");
  return [
    {
      kind: "anonymous memory",
      claims: (vma) => !vma.shared && ANONYMOUS.has(mappingKind(vma)),
      survey: surveyPrivate,
      dump(vma, task) {
        const heap = mappingKind(vma) === "heap" ? VMA_AREA_HEAP : 0;
        return describeVma(vma, {
          status: VMA_AREA_REGULAR | VMA_ANON_PRIVATE | heap,
          anonymous: true,
          pageSize: reservedPageSize(vma, task),
        });
      },
    },
    {
      kind: "the kernel's own",
      claims: (vma) => KERNEL_STATUS[mappingKind(vma)] !== undefined || vma.name === "[uprobes]",
      survey: surveyVdso,
      dump: (vma) =>
        describeVma(vma, {
          status: KERNEL_STATUS[mappingKind(vma)] ?? VMA_AREA_UPROBES,
          anonymous: true,
        }),
    },
    {
      kind: "a file",
      claims: (vma, task) => isFile(vma) && !files.of(vma, task).isDevice,
      survey(vma, task) {
        const problem = surveyPrivate(vma, task) ?? files.problemOf(vma, task);
        if (problem === undefined) files.identify(vma, task);
        return problem;
      },
      dump(vma, task) {
        const { path, size, mode, behind } = files.of(vma, task.proc);
        return describeVma(vma, {
          status: VMA_AREA_REGULAR | (vma.shared ? VMA_FILE_SHARED : VMA_FILE_PRIVATE),
          anonymous: false,
          shmid: BigInt(
            session.files.path(
              path,
              O_RDONLY,
              size,
              mode,
              behind,
              files.contentsAt(path, vma.inode),
            ),
          ),
          fdflags: writableFile(vma) ? O_RDWR : O_RDONLY,
        });
      },
    },
    {
      kind: "shared anonymous memory",
      claims: (vma, task) => vma.shared && SHARED_ANONYMOUS.has(kindOf(vma, task).kind),
      survey: (vma) => surveyFlags(vma),
      dump(vma, task) {
        shared.note(vma.inode, mapFilesPath(task.proc.liveTid, vma));
        // CRIU 4.2 has memfds in their place, and waits for ever where it gets these.
        if (isReserved(vma)) session.requirePlugin();
        return describeVma(vma, {
          status: VMA_AREA_REGULAR | VMA_ANON_SHARED,
          anonymous: true,
          shmid: vma.inode,
          fdflags: O_RDWR,
          pageSize: reservedPageSize(vma, task),
        });
      },
    },
    {
      kind: "a ring of io_setup(2)",
      claims: isRing,
      survey: (vma, task) => surveyFlags(vma) ?? ringProblem(vma, task),
      // Its pages are saved as those of private memory, as CRIU has it.
      dump: (vma) => describeVma(vma, { status: VMA_AREA_AIORING, anonymous: false }),
    },
    {
      kind: "a memfd",
      claims(vma, task) {
        const { kind } = kindOf(vma, task);
        // A private mapping of shared anonymous memory, by a descriptor that leads to it.
        return kind === "memfd" || kind === "shared-anonymous" && !vma.shared;
      },
      survey: (vma) => surveyFlags(vma),
      dump(vma, task) {
        const name = kindOf(vma, task.proc).name.replace(/^\/memfd:/, "");
        const id = shared.memfdFile(vma.inode, name, mapFilesPath(task.proc.liveTid, vma));
        return describeVma(vma, {
          status: VMA_AREA_REGULAR | VMA_AREA_MEMFD |
            (vma.shared ? VMA_FILE_SHARED : VMA_FILE_PRIVATE),
          anonymous: false,
          shmid: BigInt(id),
          fdflags: writableFile(vma) ? O_RDWR : O_RDONLY,
          pageSize: reservedPageSize(vma, task),
        });
      },
    },
    {
      kind: "memory that cannot be saved",
      claims: (vma) => refusal(vma) !== undefined,
      survey: refusal,
      dump(vma) {
        throw new Error(refusal(vma)?.what ?? "this mapping can be saved");
      },
    },
  ];
}

const ANONYMOUS: ReadonlySet<MappingKind> = new Set<MappingKind>([
  "anonymous",
  "heap",
  "stack",
  "named-anonymous",
  "anonymous-hugetlb",
]);

const SHARED_ANONYMOUS: ReadonlySet<MappingKind> = new Set<MappingKind>([
  "shared-anonymous",
  "anonymous-hugetlb",
]);

/** A shared mapping that may be made writable was made from a file that was open for writing. */
function writableFile(vma: Vma): boolean {
  return vma.shared && vma.flags.has("mw");
}

/** Files that are none: their names are the kernel's. */
function isUnusual(vma: Vma): boolean {
  return isRing(vma) || vma.deleted && vma.name === "/secretmem";
}

/** Kinds of memory that cannot be saved, each with the reason. */
function refusal(vma: Vma): SurveyProblem {
  if (vma.deleted && vma.name === "/secretmem") {
    return {
      what: `its mapping ${
        rangeOf(vma)
      } is secret memory (memfd_secret), which nobody else may read`,
      hint: "have the program give it up first",
    };
  }
  return undefined;
}
