/**
 * Runs before a script of the user: an error of Stasis that it does not catch ends it as it ends the command, with a
 * sentence, a hint and its exit status.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { describeError } from "../error_text.ts";
import { hasColour } from "../ui/colour.ts";

function endBy(event: Event, error: unknown): void {
  if (!(error instanceof StasisError)) return;
  event.preventDefault();
  console.error(describeError(error, hasColour(Deno.stderr)));
  Deno.exit(error.exitStatus);
}

addEventListener("error", (event) => endBy(event, event.error));
addEventListener("unhandledrejection", (event) => endBy(event, event.reason));
