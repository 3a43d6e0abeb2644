/**
 * Signals to this process that synchronous code can see. JavaScript's own listeners run between two turns of the
 * event loop, and a checkpoint is mostly one turn; so the signal's handler is extended by one that counts
 * (`x86_64/count_code.ts`), and whoever works for long looks at the count.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { addressOf, syscall } from "./libc_ffi.ts";
import { kernelSigaction, SIGSET_SIZE } from "./sigaction.ts";
import { countCode } from "./x86_64/count_code.ts";
import { mapOwnCode } from "./x86_64/own_code.ts";
import { SIG } from "./signals.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** How often each signal has come, by number. Handlers write to it for as long as this process lives. */
const counts = new Int32Array(65);
const countsAddress = addressOf(new Uint8Array(counts.buffer));
/** The signals whose handlers count. */
const counting = new Set<number>();

/** SIGURG, which nobody sends and by which nothing happens, in place of SIGUSR1: {@link keepDebuggerShut}. */
const CARRIER = { name: "SIGURG", signal: SIG.URG } as const;
let isDebuggerShut = false;

/** SIG_DFL and SIG_IGN are no handlers. */
const SIG_IGN = 1n;

/** Listens to signals, and sees them in synchronous code as well. */
export class SignalWatch implements Disposable {
  readonly #listening: DisposableStack;
  readonly #signals: number[] = [];
  /** How often each of them had come when it was told last. */
  readonly #seen: number[] = [];
  readonly #onSignal: (signal: number) => void;

  /**
   * @param signals by name, with their numbers; while this exists they do nothing else
   * @param onSignal is told the number of a signal that has come, once for those that came since it was told last
   * @throws {StasisError} `syscall`
   */
  constructor(
    signals: Readonly<Partial<Record<Deno.Signal, number>>>,
    onSignal: (signal: number) => void,
  ) {
    this.#onSignal = onSignal;
    using listening = new DisposableStack();
    const look = () => this.look();
    for (const [key, signal] of Object.entries(signals)) {
      const name = carrierOf(signal)?.name ?? key as Deno.Signal;
      // First Deno's handler, which wakes its event loop, then the one that counts and goes on with it.
      Deno.addSignalListener(name, look);
      listening.defer(() => Deno.removeSignalListener(name, look));
      if (!counting.has(signal)) count(signal);
      this.#signals.push(signal);
      this.#seen.push(Atomics.load(counts, signal));
    }
    this.#listening = listening.move();
  }

  /** Tells of signals that have come. Costs nothing to speak of. */
  look(): void {
    for (let index = 0; index < this.#signals.length; index++) {
      const signal = this.#signals[index] as number;
      const now = Atomics.load(counts, signal);
      if (now === this.#seen[index]) continue;
      this.#seen[index] = now;
      this.#onSignal(signal);
    }
  }

  [Symbol.dispose](): void {
    this.#listening.dispose();
  }
}

/**
 * Has SIGUSR1 open no debugger, for as long as this process lives: since 2.9.2 Deno opens one then, to every user of the
 * machine, half a second after its start and later, and no option keeps it from that. So its handler is told another
 * signal's number, and nobody hears of SIGUSR1 but by {@link SignalWatch}. For programs that are all this tool's.
 *
 * @throws {StasisError} `syscall`
 */
export function keepDebuggerShut(): void {
  if (isDebuggerShut) return;
  isDebuggerShut = true;
  const before = actionOf(SIG.USR1);
  // For whoever listens Deno sets its handler, and does not set it again when it begins to listen itself.
  const nothing = () => {};
  Deno.addSignalListener("SIGUSR1", nothing);
  // What is ignored here is so in programs that are begun here, too.
  if (before.handler === SIG_IGN) setAction(SIG.USR1, before);
  else count(SIG.USR1);
  Deno.removeSignalListener("SIGUSR1", nothing);
}

function carrierOf(signal: number): typeof CARRIER | undefined {
  return signal === SIG.USR1 && isDebuggerShut ? CARRIER : undefined;
}

function count(signal: number): void {
  const action = actionOf(signal);
  if (action.handler <= SIG_IGN) {
    throw new StasisError(
      "internal",
      `Deno has no handler for signal ${signal} that it listens to`,
    );
  }
  const counter = countsAddress + BigInt(signal * Int32Array.BYTES_PER_ELEMENT);
  const handler = mapOwnCode(
    "count",
    countCode(counter, action.handler, carrierOf(signal)?.signal),
  );
  setAction(signal, { ...action, handler });
  counting.add(signal);
}

type Action = ReturnType<typeof kernelSigaction.read>;

function actionOf(signal: number): Action {
  const bytes = new Uint8Array(kernelSigaction.size);
  must(syscall(SYSCALLS.rt_sigaction, signal, 0, bytes, SIGSET_SIZE));
  return kernelSigaction.read(bytes);
}

function setAction(signal: number, action: Action): void {
  must(syscall(SYSCALLS.rt_sigaction, signal, kernelSigaction.make(action), 0, SIGSET_SIZE));
}

function must(result: bigint): void {
  if (!isErrno(result)) return;
  throw new StasisError("syscall", "the handler of a signal cannot be set", {
    errno: errnoName(-result),
  });
}
