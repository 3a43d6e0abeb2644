/**
 * Plugin `pipes`: pipes and fifos within the tree, with what is in them.
 *
 * Saved, for a pipe: a `pipe_entry` of `files.img` for each open file description of either end, and in
 * `pipes-data.img` the buffer's size and bytes. The bytes are looked at by tee(2), which leaves them where
 * they are. CRIU knows no packet mode (O_DIRECT); here a pipe with several packets has one entry for each,
 * and the images name this plugin. Fifos are in `fifo.ts`.
 *
 * Restored: all ends of a pipe are made in one task by pipe2(2) and handed on from there by the core. Ends
 * that had been opened again through /proc/PID/fd (the kernel shows O_LARGEFILE on those) are opened in
 * that way. An end that nobody had is closed again, so the others see end of file or EPIPE as before.
 *
 * A pipe that a process outside of the tree holds too is none of this plugin's, nor is a fifo that is a standard stream:
 * see `external`. Another fifo that one holds is refused: what is in it would be there twice.
 *
 * @module
 */
import {
  externalHint,
  isFifo,
  isNamedExternal,
  outsideHolders,
} from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { nameOf } from "../../core/linux/procfs/mod.ts";
import { CAP } from "../../core/linux/capability.ts";
import { O } from "../../core/linux/fcntl.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type LoadContext,
  type Plugin,
  type Privileges,
  type RestoreHooks,
  type RestoreSession,
  type TaskPlanner,
} from "../../core/plugin.ts";
import { ServedImage } from "../../core/restore/image_bytes.ts";
import type { Argument } from "../../core/remote/program.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import type { pipe_entry } from "../../images/gen/pipes_pb.ts";
import { FIFO_DATA, FILES, PIPES_DATA } from "../../images/kinds/files.ts";
import { isProvided } from "../external/provided.ts";
import { located, pathProblem } from "../files/survey.ts";
import { loadContents, saveContents } from "./contents.ts";
import { fifoImage, planFifo, planUnwrittenFifo } from "./fifo.ts";
import { FIFO_EXTRA } from "./image.ts";
import { type Contents, planPipe } from "./pipe.ts";
import { UnwrittenFifos } from "./unwritten.ts";

/** The plugin. */
export const pipes: Plugin = definePlugin({
  name: "pipes",
  description: "pipes and fifos with what is in them",
  images: [PIPES_DATA, FIFO_DATA, FIFO_EXTRA],
  checkpoint,
  restore,
});

function checkpoint(session: CheckpointSession): CheckpointHooks {
  const { writer, files, options } = session;
  const holders = outsideHolders(writer);
  const saved = new Set<string>();
  const unwritten = new UnwrittenFifos();
  /** Saves the contents with the first description of a pipe. */
  const saveOnce = (kind: typeof PIPES_DATA | typeof FIFO_DATA, id: number, fd: number): void => {
    const key = `${kind.name} ${id}`;
    if (saved.has(key)) return;
    saved.add(key);
    if (saveContents(writer, kind, id, fd) > 1) session.requirePlugin();
  };
  const cutOff = new Set<string>();
  const noteDeadEnd = ({ link }: Descriptor): void => {
    if (cutOff.has(link.text)) return;
    cutOff.add(link.text);
    session.note(`${link.text} is cut off from who has it outside of the tree`);
  };
  const mine = (descriptor: Descriptor): boolean => !isNamedExternal(options, descriptor);
  return {
    survey: ({ tasks }) => holders.look(tasks),
    dumpTree() {
      for (const path of unwritten.mixed) {
        session.note(
          `some have the fifo ${path} open since its last writer left, and will see POLLHUP`,
        );
      }
      const { ids } = unwritten;
      if (ids.length === 0) return;
      session.requirePlugin();
      writer.writeList(FIFO_EXTRA, null, ids.map((id) => ({ id })));
    },
    descriptors: [{
      kind: "pipe",
      claims: (descriptor) =>
        descriptor.link.kind === "pipe" && mine(descriptor) &&
        (holders.of(descriptor).length === 0 || holders.isCutOff(options, descriptor)),
      dump({ descriptor, id, fown, fd }) {
        const pipeId = Number(descriptor.link.inode);
        const flags = descriptor.info.flags & ~O.CLOEXEC;
        if ((flags & O.DIRECT) !== 0) session.requirePlugin();
        if (holders.of(descriptor).length > 0) noteDeadEnd(descriptor);
        // What was written for a reader outside is that one's.
        if (holders.of(descriptor).length === 0 || (flags & O.ACCMODE) !== O.WRONLY) {
          saveOnce(PIPES_DATA, pipeId, fd);
        }
        return { type: fd_types.PIPE, pipe: { id, pipeId, flags, fown } };
      },
    }, {
      kind: "fifo",
      claims: (descriptor) =>
        isFifo(descriptor) && mine(descriptor) && !holders.isFifoStream(descriptor),
      survey(descriptor) {
        const [pid] = holders.of(descriptor);
        if (pid === undefined) return pathProblem(descriptor, options);
        return {
          what: `its descriptor ${descriptor.fd} is the fifo ${descriptor.link.text}, which ` +
            `${nameOf(pid)} outside of the tree has open too`,
          hint: `checkpoint both together, or close one of them, or ${
            externalHint(descriptor.link.text)
          }`,
        };
      },
      dump(context) {
        const pipeId = context.descriptor.identity.ino >>> 0;
        saveOnce(FIFO_DATA, pipeId, context.fd);
        unwritten.look(pipeId, context.id, context.descriptor, context.fd);
        return fifoImage(files, context, pipeId, located(context.descriptor, options));
      },
    }],
  };
}

function restore(session: RestoreSession): RestoreHooks {
  const { images, machine, options } = session;
  const ends = new Map<number, pipe_entry[]>();
  const pipesData = new ServedImage(images.pathOf(PIPES_DATA, null));
  const fifoData = new ServedImage(images.pathOf(FIFO_DATA, null));
  let pipeContents = new Map<number, Contents>();
  let fifoContents = new Map<number, Contents>();
  const unwritten = new Set<number>();
  const homes = new Map<number, TaskPlanner>();
  const made = new Map<number, Argument>();
  /** A descriptor number for opening pipes by name: nobody's but for a moment. */
  let spare = -1;
  const isMine = (file: file_entry): boolean =>
    file.type === fd_types.PIPE && file.pipe !== undefined && !isProvided(file, images, options);
  return {
    load(context) {
      if (!images.has(FILES, null)) return;
      pipeContents = loadContents(images, PIPES_DATA, pipesData);
      fifoContents = loadContents(images, FIFO_DATA, fifoData);
      for (const file of images.readList(FILES, null)) {
        if (!isMine(file)) continue;
        const pipe = file.pipe as pipe_entry;
        const others = ends.get(pipe.pipeId);
        if (others === undefined) ends.set(pipe.pipeId, [pipe]);
        else others.push(pipe);
      }
      if (images.has(FIFO_EXTRA, null)) {
        for (const { id } of images.readList(FIFO_EXTRA, null)) unwritten.add(id);
      }
      checkSizes([...pipeContents.values(), ...fifoContents.values()], machine.privileges, context);
    },
    planTree(tree) {
      if (ends.size > 0) spare = tree.service();
      if (pipeContents.size > 0) pipesData.serve(tree);
      if (fifoContents.size > 0) fifoData.serve(tree);
    },
    descriptors: [{
      kind: "pipe",
      restores: isMine,
      home(file, proposed) {
        const { pipeId } = file.pipe as pipe_entry;
        const home = homes.get(pipeId);
        if (home === undefined) homes.set(pipeId, proposed);
        return home ?? proposed;
      },
      plan({ file, program }) {
        const { id, pipeId } = file.pipe as pipe_entry;
        if (!made.has(id)) {
          const contents = pipeContents.get(pipeId) ?? { chunks: [] };
          const all = planPipe(program, ends.get(pipeId) ?? [], contents, spare);
          for (const [end, fd] of all) made.set(end, fd);
        }
        return made.get(id) as Argument;
      },
    }, {
      kind: "fifo",
      restores: (file) => file.type === fd_types.FIFO && file.fifo !== undefined,
      plan(context) {
        const pipeId = context.file.fifo?.pipeId ?? 0;
        const contents = fifoContents.get(pipeId);
        if (unwritten.has(context.file.id)) return planUnwrittenFifo(context, contents?.size);
        fifoContents.delete(pipeId);
        return planFifo(context, contents);
      },
    }],
  };
}

/** Reports buffers that are larger than this user may make them (pipe_set_size() of `fs/pipe.c`). */
function checkSizes(
  all: readonly Contents[],
  { caps }: Privileges,
  { problem }: LoadContext,
): void {
  const most = Math.max(0, ...all.map(({ size = 0 }) => size));
  if (most === 0) return;
  const limit = Number(Deno.readTextFileSync("/proc/sys/fs/pipe-max-size"));
  if (most <= limit) return;
  if ((caps.effective & CAP.SYS_RESOURCE) !== 0n) return;
  problem({
    what: `a pipe has a buffer of ${most} bytes, and this user may make at most ${limit}`,
    hint: `raise the limit: sysctl fs.pipe-max-size=${most}`,
  });
}
