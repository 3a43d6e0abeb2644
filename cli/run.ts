/**
 * Runs a command line and turns whatever happens into an exit status.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { COMMANDS } from "./commands.ts";
import { describeError, errorJson } from "./error_text.ts";
import { toJson } from "./json.ts";
import { readPlainArguments } from "./plain_arguments.ts";
import { hasColour } from "./ui/colour.ts";

/**
 * Runs a command line. Results go to stdout, everything else to stderr; with `--json` stdout gets one JSON
 * document, the result or the error.
 *
 * @param args without the program's name
 * @returns the exit status
 */
export async function run(args: readonly string[]): Promise<number> {
  let status = 0;
  const setStatus = (code: number) => status = code;
  try {
    const plain = readPlainArguments(COMMANDS, args);
    if (plain !== undefined) await plain.command.run(plain.argument, plain.options, setStatus);
    else await (await import("./program.ts")).runProgram(args, setStatus);
    return status;
  } catch (error) {
    const failure = asStasisError(error);
    const end = args.indexOf("--");
    if (args.slice(0, end < 0 ? args.length : end).includes("--json")) {
      console.log(toJson(errorJson(failure)));
    }
    console.error(describeError(failure, hasColour(Deno.stderr)));
    if (failure.code === "internal" && failure.cause instanceof Error) {
      console.error(failure.cause.stack);
    }
    return failure.exitStatus;
  }
}

/** What a thrown value is to the user. */
function asStasisError(error: unknown): StasisError {
  if (error instanceof StasisError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StasisError("internal", `Stasis failed unexpectedly: ${message}`, { cause: error });
}
