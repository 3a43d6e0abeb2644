/**
 * Saving sockets of a family of which each is by itself: all that is to be known of one is read through a duplicate of
 * its descriptor, when the tree stands still.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { nameOf } from "../linux/procfs/mod.ts";
import type { CheckpointHooks, CheckpointSession, DescriptorDump, FileImage } from "../plugin.ts";
import { inodeOf } from "./each_taken.ts";
import { externalHint, isNamedExternal, outsideHolders } from "./outside_holders.ts";
import type { Descriptor } from "./task.ts";

/** What is read of a socket. */
export interface SocketReading {
  /** Why it cannot be saved: "has messages waiting". */
  readonly problem?: string;
  /** What to do about it. */
  readonly hint?: string;
  /** Whether it passes by itself when the program goes on. */
  readonly passing?: boolean;
}

/** A family of sockets. */
export interface SocketFamily<Reading extends SocketReading> {
  /** What they are, for messages. */
  readonly kind: string;
  /** What the kernel calls them: the attribute `system.sockprotoname`. */
  readonly protocol: string;
  /** Reads them. @param descriptors one of each, by inode */
  read(descriptors: ReadonlyMap<number, Descriptor>): ReadonlyMap<number, Reading>;
  /** Writes one. */
  dump(context: DescriptorDump, reading: Reading, ino: number): FileImage;
}

/** The hooks of one checkpoint. */
export function saveFamily<Reading extends SocketReading>(
  { writer, options }: Pick<CheckpointSession, "writer" | "options">,
  { kind, protocol, read, dump }: SocketFamily<Reading>,
): CheckpointHooks {
  const outside = outsideHolders(writer);
  /** Whether a socket is of the family, by the text of the descriptor's link. */
  const known = new Map<string, boolean>();
  let readings: ReadonlyMap<number, Reading> = new Map();
  /** Those whose problem has been told: one that many tasks have is told once. */
  let told = new Set<number>();

  const isOfFamily = (descriptor: Descriptor): boolean => {
    const { text } = descriptor.link;
    let is = known.get(text);
    if (is === undefined) {
      is = descriptor.socketProtocol === protocol;
      known.set(text, is);
    }
    return is;
  };
  const claims = (descriptor: Descriptor): boolean =>
    descriptor.link.kind === "socket" && isOfFamily(descriptor) &&
    !isNamedExternal(options, descriptor);
  const problemOf = ({ fd, link }: Descriptor, ino: number) => {
    const what = `its descriptor ${fd} (${link.text}) is a ${kind} that`;
    const [holder] = outside.behind(link.text);
    if (holder !== undefined) {
      return {
        what: `${what} ${nameOf(holder)} outside of the tree has open too`,
        hint: `checkpoint both together, or ${externalHint(link.text)}`,
      };
    }
    const { problem, hint, passing } = readings.get(ino) ?? {};
    return problem === undefined ? undefined : { what: `${what} ${problem}`, hint, passing };
  };

  return {
    survey({ tasks, frozen }) {
      told = new Set();
      const descriptors = new Map<number, Descriptor>();
      for (const task of tasks) {
        for (const descriptor of task.descriptors) {
          if (claims(descriptor)) descriptors.set(inodeOf(descriptor), descriptor);
        }
      }
      if (descriptors.size === 0) return;
      outside.look(tasks);
      if (frozen) readings = read(descriptors);
    },
    descriptors: [{
      kind,
      claims,
      survey(descriptor) {
        const ino = inodeOf(descriptor);
        if (told.has(ino)) return undefined;
        const found = problemOf(descriptor, ino);
        if (found !== undefined) told.add(ino);
        return found;
      },
      dump(context) {
        const ino = inodeOf(context.descriptor);
        const reading = readings.get(ino);
        if (reading !== undefined) return dump(context, reading, ino);
        throw new StasisError("internal", `socket:[${ino}] was not looked at`);
      },
    }],
  };
}
