/**
 * The command line: its commands, options and help.
 *
 * @module
 */
import { Command } from "@commander-js/extra-typings";
import { addCheck } from "./check.ts";
import { addCheckpoint } from "./checkpoint.ts";
import { addCompletions } from "./completions.ts";
import { exitStatusHelp } from "./help.ts";
import { addInspect } from "./inspect.ts";
import { addRestore } from "./restore.ts";
import type { SetStatus } from "./status.ts";
import { paint } from "./ui/colour.ts";
import { VERSION } from "./version.ts";

/**
 * Makes the program.
 *
 * @param setStatus is told the exit status
 * @param parts `completions: false` leaves those commands out, which the completion library brings itself
 */
export function createProgram(setStatus: SetStatus, parts = { completions: true }): Command {
  const program = new Command("stasis")
    .description(
      "Checkpoint and restore of Linux process trees, also of those that use Syscall User Dispatch.",
    )
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help of a command")
    .configureHelp({ styleTitle: (text) => paint("bold", text, true) })
    .exitOverride()
    // Errors are printed in one place, with their exit status; see run.ts.
    .configureOutput({ outputError: () => {} })
    .addHelpText("after", exitStatusHelp());
  addCheckpoint(program);
  addRestore(program, setStatus);
  addCheck(program, setStatus);
  addInspect(program);
  if (parts.completions) {
    addCompletions(program, () => createProgram(() => {}, { completions: false }));
  }
  return program as unknown as Command;
}
