/**
 * `stasis completions`: the script that a shell loads.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { print } from "./ui/print.ts";

/** The shells. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/**
 * Makes the script for a shell.
 *
 * @param commands what it completes
 */
export async function completionScript(
  shell: typeof SHELLS[number],
  commands: readonly Command[],
): Promise<string> {
  const { completedCommands } = await import("./completions/words.ts");
  const words = completedCommands(commands);
  switch (shell) {
    case "bash":
      return (await import("./completions/bash.ts")).bashScript(words);
    case "zsh":
      return (await import("./completions/zsh.ts")).zshScript(words);
    case "fish":
      return (await import("./completions/fish.ts")).fishScript(words);
  }
}

/** The command. @param commands what it completes */
export const completions = (commands: () => readonly Command[]): Command =>
  defineCommand({
    name: "completions",
    summary: "print completions for a shell",
    description:
      "Prints a script that makes a shell complete the commands of stasis, their options and what follows " +
      "these: processes, directories, and words. Where stasis is installed, zsh, fish, and bash with the package " +
      "bash-completion find it by themselves.",
    argument: ["[shell]", `the shell: ${SHELLS.join(", ")}`],
    argumentValues: SHELLS,
    options: {},
    examples: [
      ["source <(stasis completions bash)", "for this bash; put it into ~/.bashrc for all"],
      ["source <(stasis completions zsh)", "for this zsh; put it into ~/.zshrc for all"],
      ["stasis completions fish > ~/.config/fish/completions/stasis.fish", "for every fish"],
    ],
    async run(argument) {
      const shell = SHELLS.find((one) => one === argument);
      if (shell === undefined) {
        throw new StasisError(
          "usage",
          argument === undefined
            ? "no shell was given"
            : `there are no completions for ${argument}`,
          { hint: `name one of ${SHELLS.join(", ")}` },
        );
      }
      print((await completionScript(shell, commands())).trimEnd());
    },
  });
