/**
 * Which terminals a tree has within itself: pseudoterminals with both ends, and what is opened by a name that every
 * machine has. All others are somebody else's, and are given anew at restore.
 *
 * @module
 */
import { decodeUserDevice } from "../../images/device.ts";
import { isTerminal, LAST_STANDARD_STREAM, resourceName } from "./outside_holders.ts";
import type { Descriptor, Task } from "./task.ts";

/** Majors of Documentation/admin-guide/devices.txt: virtual consoles and serial lines, /dev/tty and its like, slaves. */
const VIRTUAL = 4, ALTERNATE = 5, SLAVES = 136;
/** Minors of {@link ALTERNATE}. */
const CONTROLLING = 0, CONSOLE = 1, MASTERS = 2;
/** Minors of {@link VIRTUAL} from here on are serial lines. */
const FIRST_SERIAL = 64;

/** What a terminal's descriptor leads to. */
export type TerminalKind =
  | { readonly kind: "master"; readonly index: number }
  | { readonly kind: "slave"; readonly index: number }
  /** Opened as /dev/tty: the terminal that controlled the session. */
  | { readonly kind: "controlling" }
  | { readonly kind: "console" | "virtual" | "serial" };

/** The index of a slave, by its device as stat(2) and `/proc/PID/stat` give it; undefined of any other terminal. */
export function slaveIndex(rdev: number): number | undefined {
  const { major, minor } = decodeUserDevice(rdev);
  return major === SLAVES ? minor : undefined;
}

/** What a descriptor of a terminal leads to; undefined of one of no terminal, or that has not opened it (O_PATH). */
export function terminalOf(descriptor: Descriptor): TerminalKind | undefined {
  if (!isTerminal(descriptor) || (descriptor.info.flags & O_PATH) !== 0) return undefined;
  const { rdev } = descriptor.identity;
  const index = slaveIndex(rdev);
  if (index !== undefined) return { kind: "slave", index };
  const { major, minor } = decodeUserDevice(rdev);
  if (major === ALTERNATE && minor === CONTROLLING) return { kind: "controlling" };
  if (major === ALTERNATE && minor === CONSOLE) return { kind: "console" };
  if (major === ALTERNATE && minor === MASTERS) {
    // Kernels before 4.14 do not tell.
    return { kind: "master", index: descriptor.info.ttyIndex ?? -1 };
  }
  return { kind: major === VIRTUAL && minor < FIRST_SERIAL ? "virtual" : "serial" };
}

const O_PATH = 0o10000000;

/** The terminals of a tree. */
export class TreeTerminals {
  #masters: ReadonlySet<number> = new Set();
  #slaves: ReadonlySet<number> = new Set();
  #streams: ReadonlySet<string> = new Set();
  #lines: ReadonlySet<number> = new Set();

  /** Looks at the descriptors of all tasks; again when the tree stands still. */
  look(tasks: readonly Task[]): void {
    const masters = new Set<number>();
    const slaves = new Set<number>();
    const streams = new Set<string>();
    const lines: Descriptor[] = [];
    for (const { descriptors } of tasks) {
      for (const descriptor of descriptors) {
        if (descriptor.link.kind !== "path") continue;
        const terminal = terminalOf(descriptor);
        if (terminal?.kind === "master") masters.add(terminal.index);
        if (terminal?.kind === "slave" && !descriptor.link.deleted) slaves.add(terminal.index);
        if (terminal?.kind === "virtual" || terminal?.kind === "serial") lines.push(descriptor);
        if (terminal !== undefined && descriptor.fd <= LAST_STANDARD_STREAM) {
          streams.add(resourceName(descriptor));
        }
      }
    }
    this.#masters = masters;
    this.#slaves = slaves;
    this.#streams = streams;
    const inside = lines.filter((line) => this.isInside(line));
    this.#lines = new Set(inside.map(({ identity }) => identity.rdev));
  }

  /** The indices of the ptys whose master is in the tree. */
  get masters(): ReadonlySet<number> {
    return this.#masters;
  }

  /** The indices of the ptys whose slave is open in the tree. */
  get slaves(): ReadonlySet<number> {
    return this.#slaves;
  }

  /** The devices (`st_rdev`) of the virtual consoles and serial lines that are restored. */
  get lines(): ReadonlySet<number> {
    return this.#lines;
  }

  /** Whether a descriptor's terminal is restored, not given anew. */
  isInside(descriptor: Descriptor): boolean {
    const terminal = terminalOf(descriptor);
    switch (terminal?.kind) {
      case undefined:
        return false;
      case "master":
      case "controlling":
        return true;
      case "slave":
        // Without its master it has been hung up, and has no name any more.
        return this.#masters.has(terminal.index) || descriptor.link.deleted;
      default:
        // What a program was started on it gets from where it is restored.
        return !this.#streams.has(resourceName(descriptor));
    }
  }
}

/** The terminals of the tree of one operation: whoever asks for the same `operation` object gets the same. */
export function treeTerminals(operation: object): TreeTerminals {
  let terminals = known.get(operation);
  if (terminals === undefined) known.set(operation, terminals = new TreeTerminals());
  return terminals;
}

const known = new WeakMap<object, TreeTerminals>();
