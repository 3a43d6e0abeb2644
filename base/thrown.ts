/**
 * What is told to the user of a thrown value, whatever it is. This is the one place where it is decided what is a
 * defect: everything that comes out of an operation passes through here.
 *
 * @module
 */
import { StasisError } from "./errors.ts";
import { errnoOf, ioError } from "./io_error.ts";

/**
 * Errors of the system that only a wrong question gets (errno(3)): a descriptor that is none, an address that is none,
 * an argument that makes no sense. All others are answers of the machine, as it is at the moment.
 */
const OF_DEFECTS: ReadonlySet<string> = new Set(["EBADF", "EFAULT", "EINVAL"]);

/**
 * The error to report for something that was thrown: a refusal of the machine is `io`, what nobody thought of is
 * `internal`. Where undoing failed too, it is the first error, whose hint says what else went wrong: disposables that
 * throw leave a SuppressedError, behind which nobody finds it.
 */
export function asStasisError(error: unknown): StasisError {
  if (error instanceof SuppressedError) return withLater(error);
  if (error instanceof StasisError) return error;
  const refused = machineError(error);
  if (refused !== undefined) return refused;
  return new StasisError("internal", `Stasis failed unexpectedly: ${textOf(error)}`, {
    cause: error,
  });
}

/**
 * The error for an exception that nobody caught where it came from: of a call which the machine refused. Undefined
 * for every other one, which is a defect.
 */
export function machineError(error: unknown): StasisError | undefined {
  if (error instanceof Deno.errors.NotCapable) {
    return new StasisError("no-privilege", error.message, {
      hint: "run deno with --allow-all",
      cause: error,
    });
  }
  const errno = errnoOf(error);
  if (errno === undefined || OF_DEFECTS.has(errno)) return undefined;
  // "Cannot allocate memory (os error 12): open '/x'"
  const what = /\(os error \d+\): (.+)$/s.exec((error as Error).message)?.[1];
  return ioError(what ?? "go on", error);
}

function withLater(error: SuppressedError): StasisError {
  const [first, ...later] = flatten(error);
  const { code, message, pid, errno, hint, problems, plugin } = asStasisError(first);
  const also = `undoing it failed too: ${later.map(textOf).join("; ")}`;
  return new StasisError(code, message, {
    pid,
    errno,
    problems,
    plugin,
    hint: hint === undefined ? also : `${hint}; ${also}`,
    cause: error,
  });
}

/** What was thrown, in the order of time. */
function flatten(error: unknown): unknown[] {
  if (!(error instanceof SuppressedError)) return [error];
  return [...flatten(error.suppressed), ...flatten(error.error)];
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
