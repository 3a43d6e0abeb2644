/**
 * `stasis completions`: the script that a shell loads; and the hidden `stasis complete`, which that script asks.
 *
 * @module
 */
import { Argument, type Command as Program } from "commander";
import { examplesHelp } from "./help.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** The commands as the completion library knows them. */
async function completionTree(program: Program) {
  const { default: tab } = await import("@bomb.sh/tab/commander");
  return tab(program);
}

/**
 * Adds both commands.
 *
 * @param completed makes the program whose commands and options are completed, without these two: the completion
 * library brings its own
 */
export function addCompletions(program: Program, completed: () => Program): void {
  program.command("completions")
    .summary("print completions for a shell")
    .description("Prints a script that makes a shell complete the commands and options of stasis.")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      examplesHelp([
        ["source <(stasis completions bash)", "for this bash; put it into ~/.bashrc for all"],
        ["source <(stasis completions zsh)", "for this zsh; put it into ~/.zshrc for all"],
        ["stasis completions fish > ~/.config/fish/completions/stasis.fish", "for every fish"],
      ]),
    )
    .action(async (shell) => {
      (await completionTree(completed())).setup("stasis", "stasis", shell);
    });
  program.command("complete", { hidden: true })
    .argument("[words...]")
    .allowUnknownOption()
    .action(async (words) => {
      (await completionTree(completed())).parse(words);
    });
}
