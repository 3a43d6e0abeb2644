/**
 * Plugin `external`: open files that belong to somebody outside of the tree as well, and are given back by
 * the tool at restore: the terminal or the pipes that a program was started with, with a name or without, and whatever
 * the user names with `--external`.
 *
 * Saved: for a pipe CRIU's `pipe_entry`, for a terminal its `tty_file_entry` with a `tty_info_entry` of type
 * EXT_TTY, for anything else an `ext_file_entry`; and for each an entry of `external.img`, which says that
 * it is external, how it is called, and its flags. CRIU restores the first two with its own
 * `--inherit-fd`; where there are others the images name this plugin. What is in such a pipe stays there.
 *
 * Restored: descriptors 0, 1 and 2 from the tool's own of the same number, others from what the user maps
 * (`inheritFds`). A pipe or terminal of the tool is opened again through /proc/self/fd, so that the status
 * flags of the program are not those of the tool's shell; other files are shared as they are, with
 * position and flags. One that is the same file as before is cut back to its length where the user wants that
 * (`rollbackFiles`).
 *
 * @module
 */
import {
  isNamedExternal,
  isTerminal,
  outsideHolders,
  resourceName,
} from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { treeTerminals } from "../../core/checkpoint/terminals.ts";
import { mayHaveInFlight } from "../../core/checkpoint/in_flight.ts";
import { unmatchedNames } from "../../core/checkpoint/unmatched_names.ts";
import { AT_FDCWD, F, O } from "../../core/linux/fcntl.ts";
import { isHungUp, readTermios, readWindowSize } from "../../core/linux/terminal.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type DescriptorDump,
  type FileImage,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
} from "../../core/plugin.ts";
import { planStatusFlags, reopenFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { TtyType } from "../../images/gen/terminals_pb.ts";
import { EXTERNAL } from "../../images/kinds/external.ts";
import { FILES, TTY_INFO } from "../../images/kinds/files.ts";
import { termiosImage, windowImage } from "../tty/image.ts";
import { cutBack, lookAtOwn, type OwnFile, OwnLengths } from "./own.ts";
import {
  descriptorNumbers,
  externalEntries,
  findProviders,
  isProvided,
  unwantedNames,
  wantedFiles,
} from "./provided.ts";
import { externalProblem, standardStreams } from "./survey.ts";

/** The plugin. */
export const external: Plugin = definePlugin({
  name: "external",
  description: "open files that are provided from outside: terminals, pipes to other processes",
  images: [EXTERNAL, TTY_INFO],
  checkpoint,
  restore,
});

function checkpoint(session: CheckpointSession): CheckpointHooks {
  const { writer, options } = session;
  const holders = outsideHolders(writer);
  const terminals = treeTerminals(writer);
  let standard: ReadonlySet<string> = new Set();
  const noted = new Set<string>();
  const ttys = new Map<string, number>();
  const isNamed = (descriptor: Descriptor): boolean => isNamedExternal(options, descriptor);
  const isShared = (descriptor: Descriptor): boolean =>
    isTerminal(descriptor) && !terminals.isInside(descriptor) ||
    descriptor.link.kind === "pipe" && holders.of(descriptor).length > 0 &&
      !holders.isCutOff(options, descriptor) ||
    holders.isFifoStream(descriptor);
  return {
    survey({ tasks, frozen, problem }) {
      holders.look(tasks);
      terminals.look(tasks);
      standard = standardStreams(tasks);
      // What lies in queues is found when the tree stands still. Otherwise one that is closed by then has been named
      // rightly.
      const isTime = frozen === mayHaveInFlight(tasks);
      for (const { given, hint } of isTime ? unmatchedNames(options, tasks) : []) {
        problem({ what: `${given} names nothing that the tree has`, hint });
      }
    },
    descriptors: [{
      kind: "external file",
      claims: (descriptor) =>
        isNamed(descriptor) || isShared(descriptor) && (descriptor.info.flags & O.PATH) === 0,
      survey(descriptor) {
        if (isNamed(descriptor)) return undefined;
        const problem = externalProblem(descriptor, standard, holders);
        const name = resourceName(descriptor);
        if (problem === undefined && !noted.has(name)) {
          noted.add(name);
          const { text } = descriptor.link;
          const what = name === text ? name : `${name} (${text})`;
          session.note(`${what} is held outside of the tree: the restore provides it`);
        }
        return problem;
      },
      dump(context) {
        const { descriptor, id } = context;
        const name = resourceName(descriptor);
        const image = describe(context);
        writer.append(EXTERNAL, null, {
          id,
          name,
          flags: descriptor.info.flags & ~O.CLOEXEC,
          path: isTerminal(descriptor) ? descriptor.link.text : undefined,
          length: savedLength(descriptor),
        });
        return image;
      },
    }],
  };

  function savedLength({ identity }: Descriptor): bigint | undefined {
    const isWanted = options.rollbackFiles === true && (identity.mode & S_IFMT) === S_IFREG;
    return isWanted ? BigInt(identity.size) : undefined;
  }

  function describe({ descriptor, id, fown, fd, task }: DescriptorDump): FileImage {
    const flags = descriptor.info.flags & ~O.CLOEXEC;
    if (descriptor.link.kind === "pipe") {
      const pipeId = Number(descriptor.link.inode);
      return { type: fd_types.PIPE, pipe: { id, pipeId, flags, fown } };
    }
    if (!isTerminal(descriptor)) {
      session.requirePlugin();
      return { type: fd_types.EXT, ext: { id, fown } };
    }
    const name = resourceName(descriptor);
    let ttyInfoId = ttys.get(name);
    if (ttyInfoId === undefined) {
      ttys.set(name, ttyInfoId = ttys.size + 1);
      writer.append(TTY_INFO, null, {
        id: ttyInfoId,
        type: TtyType.EXT_TTY,
        locked: false,
        exclusive: false,
        packetMode: false,
        ...sessionOf(descriptor, task.proc),
        ...isHungUp(fd) ? {} : shownSettings(fd),
        rdev: descriptor.identity.rdev,
        dev: descriptor.identity.dev,
      });
    }
    return { type: fd_types.TTY, tty: { id, ttyInfoId, flags, fown } };
  }
}

/** The session of a task that a terminal controls, and the group in its foreground: also where those are outside. */
function sessionOf({ identity }: Descriptor, { stat }: Task): { sid: number; pgrp: number } {
  if (stat.ttyNr !== identity.rdev) return { sid: 0, pgrp: 0 };
  return { sid: stat.session, pgrp: Math.max(0, stat.tpgid) };
}

/** What a terminal of a shell is given again with. */
function shownSettings(fd: number) {
  return { termios: termiosImage(readTermios(fd)), winsize: windowImage(readWindowSize(fd)) };
}

const S_IFMT = 0o170000, S_IFREG = 0o100000;

/** Stands in for everything where nothing is really restored. */
const NOTHING: OwnFile = { fd: 0, flags: 0, isPipe: false, opensAgain: false };

function restore(session: RestoreSession): RestoreHooks {
  const { images, options } = session;
  /** What stands in for each file, by id. */
  const providers = new Map<number, { own: OwnFile; flags: number }>();
  /** The number under which every task has a descriptor of this process. */
  const services = new Map<OwnFile, number>();
  /** The lengths that files are cut back to when the tree is whole. */
  const cuts = new Map<OwnFile, { readonly name: string; readonly length: bigint }>();
  const atStart = options.rollbackFiles === true ? OwnLengths.atStart() : undefined;
  return {
    load(context) {
      const files = images.has(FILES, null) ? images.readList(FILES, null) : [];
      const provided = files.filter((file) => isProvided(file, images, options));
      const { inheritFds = {} } = options;
      if (provided.length === 0 && Object.keys(inheritFds).length === 0) return;
      const numbers = descriptorNumbers(images);
      const wanted = wantedFiles(provided, images, numbers);
      const entries = externalEntries(images);
      for (const name of session.rehearsal ? [] : unwantedNames(wanted, inheritFds)) {
        const [one] = wanted;
        context.problem({
          what: `--inherit-fd names ${name}, for which the images want nothing from outside`,
          hint: one === undefined
            ? "leave it out: nothing was left out of these images"
            : `what is wanted: ${[...new Set(wanted.map(({ name }) => name))].join(", ")}`,
        });
      }
      const found = findProviders(wanted, numbers, inheritFds);
      for (const { id, name, flags } of wanted) {
        if (session.rehearsal) {
          // Anything will do: who restores the images will say what.
          providers.set(id, { own: NOTHING, flags: flags ?? NOTHING.flags });
          continue;
        }
        const number = found.get(id);
        if (number === undefined) {
          context.problem({
            what: `nothing stands in for ${name}, which was held outside of the tree`,
            hint: `open something in its place and name it: --inherit-fd 'fd[N]:${name}'`,
          });
          continue;
        }
        const own = lookAtOwn(number);
        if (own === undefined) {
          context.problem({
            what:
              `descriptor ${number}, which is to stand in for ${name}, is not open in this tool`,
            hint: "open it, for example with a redirection of the shell",
          });
          continue;
        }
        providers.set(id, { own, flags: flags ?? own.flags });
        const { length } = entries.get(id) ?? {};
        if (length !== undefined && (atStart?.lengthOf(own, name) ?? 0n) > length) {
          cuts.set(own, { name, length });
        }
      }
    },
    planTree(tree) {
      for (const { own } of providers.values()) services.set(own, tree.serviceDescriptor(own.fd));
    },
    complete() {
      for (const [own, { name, length }] of cuts) {
        cutBack(own, length);
        // Told behind the cut: it may be where this is told.
        session.note(`${name} is cut back to ${length} bytes, as at the checkpoint`);
      }
    },
    descriptors: [{
      kind: "external file",
      restores: (file) => isProvided(file, images, options),
      plan({ file, program }) {
        const { own, flags } = providers.get(file.id) as { own: OwnFile; flags: number };
        const service = services.get(own) as number;
        if (!own.opensAgain) return program.call("fcntl", service, F.DUPFD_CLOEXEC, 0);
        // A pipe must keep its direction: as its own writer a reader would never see its end.
        const access = own.isPipe ? own.flags & O.ACCMODE : flags & O.ACCMODE;
        const how = reopenFlags(flags) & ~O.ACCMODE | access | O.CLOEXEC | O.NOCTTY | O.NONBLOCK;
        const fd = program.call("openat", AT_FDCWD, `/proc/self/fd/${service}`, how, 0);
        planStatusFlags(program, fd, flags, how);
        return fd;
      },
    }],
  };
}
