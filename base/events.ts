/**
 * What an operation tells while it runs: which phase it is in, how far long work is, and notes that the
 * user should read. The command line draws them; a script may log them.
 *
 * @module
 */

/** The phases of a checkpoint, in order. With `leaveRunning`, release comes before commit. */
export const CHECKPOINT_PHASES = [
  "survey",
  "freeze",
  "dump",
  "pages",
  "commit",
  "release",
] as const;
/** The phases of a restore, in order. */
export const RESTORE_PHASES = ["load", "plan", "build", "arm", "run"] as const;

/** A phase of either direction. */
export type Phase = typeof CHECKPOINT_PHASES[number] | typeof RESTORE_PHASES[number];

/** Something that an operation tells. */
export type StasisEvent =
  /** A phase begins. */
  | { readonly kind: "phase"; readonly phase: Phase }
  /** Long work goes on: `done` of `total` bytes. */
  | {
    readonly kind: "progress";
    readonly what: string;
    readonly done: bigint;
    readonly total: bigint;
  }
  /** Something the user should know, one sentence. */
  | { readonly kind: "note"; readonly plugin: string; readonly text: string }
  /** Detail for `-v`. */
  | { readonly kind: "detail"; readonly plugin: string; readonly text: string }
  /** A step of a phase, just before it is done, for `-vv`; and the system calls that it makes, for `-vvv`. */
  | { readonly kind: "step"; readonly text: string; readonly calls: () => Iterable<string> };

/** Takes what an operation tells. It must not throw. */
export type EventListener = (event: StasisEvent) => void;
