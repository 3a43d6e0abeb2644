/**
 * Runs a command line and turns whatever happens into an exit status.
 *
 * @module
 */
import { asStasisError } from "../base/thrown.ts";
import { COMMANDS } from "./commands.ts";
import { describeError, errorJson } from "./error_text.ts";
import { toJson } from "../base/json.ts";
import { readPlainArguments } from "./plain_arguments.ts";
import { hasColour } from "./ui/colour.ts";
import { print } from "./ui/print.ts";

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
    if (plain !== undefined) {
      const { command, argument, options, more } = plain;
      await command.run(argument, options, setStatus, more);
      return status;
    }
    const help = (await import("./help_text.ts")).helpAnswer(COMMANDS, args);
    if (help !== undefined) print(help);
    else await (await import("./program.ts")).runProgram(args, setStatus);
    return status;
  } catch (error) {
    const failure = asStasisError(error);
    const end = args.indexOf("--");
    if (args.slice(0, end < 0 ? args.length : end).includes("--json")) {
      tryTo(() => console.log(toJson(errorJson(failure))));
    }
    tryTo(() => console.error(describeError(failure, hasColour(Deno.stderr))));
    const { code, cause } = failure;
    if (code === "internal" && cause instanceof Error) tryTo(() => console.error(cause.stack));
    return failure.exitStatus;
  }
}

/** There may be nobody to be told: a full disk behind stderr, or a terminal that is gone. */
function tryTo(tell: () => void): void {
  try {
    tell();
  } catch {
    // The status is all that is left to say it.
  }
}
