/**
 * Runs a command line and turns whatever happens into an exit status.
 *
 * @module
 */
import { CommanderError } from "commander";
import { StasisError } from "../base/errors.ts";
import { describeError, errorJson } from "./error_text.ts";
import { toJson } from "./json.ts";
import { createProgram } from "./program.ts";
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
  try {
    const program = createProgram((code) => status = code);
    await program.parseAsync([...args], { from: "user" });
    return status;
  } catch (error) {
    const failure = asStasisError(error);
    if (failure === null) return 0;
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

/** What a thrown value is to the user; null for `--help` and `--version`, which commander throws too. */
function asStasisError(error: unknown): StasisError | null {
  if (error instanceof StasisError) return error;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return null;
    if (error.code === "commander.help") {
      return new StasisError("usage", "No command was given", { hint: "see the help above" });
    }
    const [first = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
    const suggestion = /Did you mean (.*)\?/.exec(rest.join(" "))?.[1];
    return new StasisError("usage", first.charAt(0).toUpperCase() + first.slice(1), {
      hint: suggestion === undefined ? "see --help" : `did you mean ${suggestion}?`,
    });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new StasisError("internal", `Stasis failed unexpectedly: ${message}`, { cause: error });
}
