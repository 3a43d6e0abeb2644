/**
 * The command line as commander reads it: with help, errors and suggestions.
 *
 * @module
 */
import { Command as Program, CommanderError, Option } from "commander";
import { StasisError } from "../base/errors.ts";
import type { AnyOptionValues, Command } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { criuAnswer, criuCommandAnswer } from "./criu_options.ts";
import { examplesHelp, exitStatusHelp, PROGRAM_DESCRIPTION, STATUS_POINTER } from "./help.ts";
import {
  HELP_COMMAND,
  HELP_FLAGS,
  HELP_SUMMARY,
  optionTerm,
  VERSION_FLAGS,
  VERSION_SUMMARY,
} from "./help_text.ts";
import type { SetStatus } from "./status.ts";
import { paint } from "./ui/colour.ts";
import { VERSION } from "./version.ts";

/** Makes the program. @param setStatus is told the exit status */
export function createProgram(setStatus: SetStatus): Program {
  const program = new Program("stasis")
    .description(PROGRAM_DESCRIPTION)
    .version(VERSION, VERSION_FLAGS, VERSION_SUMMARY)
    .helpOption(HELP_FLAGS, HELP_SUMMARY)
    .helpCommand(...HELP_COMMAND)
    .configureHelp({
      styleTitle: (text) => paint("bold", text, true),
      optionTerm: ({ flags }) => optionTerm(flags),
    })
    .exitOverride()
    .enablePositionalOptions() // those behind a script are the script's
    // Errors are printed in one place, with their exit status; see run.ts.
    .configureOutput({ outputError: () => {} })
    .addHelpText("after", exitStatusHelp());
  for (const command of COMMANDS) addCommand(program, command, setStatus);
  return program;
}

/** Adds a command as its description says. */
export function addCommand(program: Program, command: Command, setStatus: SetStatus): void {
  const { name, alias, summary, description, argument, more, options, examples } = command;
  const added = program.command(name).summary(summary).description(description);
  if (alias !== undefined) added.alias(alias);
  if (argument !== undefined) added.argument(...argument);
  if (more !== undefined) added.argument(more.name, more.description);
  if (more?.passed) added.passThroughOptions();
  for (const { flags, description, repeatable } of Object.values(options)) {
    const option = new Option(flags, description);
    if (repeatable) {
      option.argParser<string[]>((value, previous) => [...previous ?? [], value]);
    }
    added.addOption(option);
  }
  added.addHelpText("after", examplesHelp(examples) + STATUS_POINTER);
  added.action(() => {
    const [first, ...others] = added.args;
    refuseEmpty(command, first, added.opts());
    return command.run(first, added.opts(), setStatus, others);
  });
}

/** Refuses values that are nothing: of a variable that a script has not set, most likely. */
function refuseEmpty(
  { argument, options }: Command,
  first: string | undefined,
  given: AnyOptionValues,
): void {
  const empty = Object.entries(given).find(([, value]) => [value].flat().includes(""))?.[0];
  const what = first === "" ? argument?.[1] : empty && `the value of ${options[empty]?.flags}`;
  if (what === undefined) return;
  throw new StasisError("usage", `${what} is empty`, {
    hint: "look at what the shell has put there",
  });
}

/**
 * Runs a command line.
 *
 * @param args without the program's name
 * @throws {StasisError} where it makes no sense, and what the command throws
 */
export async function runProgram(args: readonly string[], setStatus: SetStatus): Promise<void> {
  try {
    await createProgram(setStatus).parseAsync(withBareValues(args), { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw usageError(error, args); // 0: --help or --version
  }
}

/** Gives their values to options that are given without: commander would take the next word for it. */
export function withBareValues(args: readonly string[]): string[] {
  const [first] = args;
  if (first === undefined) return [];
  const command = COMMANDS.find(({ name, alias }) => first === name || first === alias);
  const options = Object.values(command?.options ?? {});
  const end = ownWords(args, command);
  return args.map((word, index) => {
    const found = options.find(({ flags, bare }) =>
      bare !== undefined && namesOf(flags).includes(word) && index < end
    );
    if (found === undefined) return word;
    return word.startsWith("--") ? `${word}=${found.bare}` : word + found.bare;
  });
}

/** How many words are the command's own: those behind `--` are not, nor another program's with its options. */
function ownWords(args: readonly string[], command: Command | undefined): number {
  for (let index = 1; index < args.length; index++) {
    const word = args[index] as string;
    if (word === "--") return index;
    if (!word.startsWith("-") || word === "-") {
      if (command?.more?.passed) return index;
      continue;
    }
    const option = Object.values(command?.options ?? {}).find(({ flags }) =>
      namesOf(flags).includes(word)
    );
    if (option?.flags.endsWith(">")) index++;
  }
  return args.length;
}

function namesOf(flags: string): string[] {
  return flags.split(/,? /);
}

/** A value that stands behind its option with a blank, where only an equals sign makes it one. */
function valueApart(args: readonly string[]): { option: string; value: string } | undefined {
  const options = COMMANDS.flatMap((command) => Object.values(command.options));
  for (const [index, option] of args.entries()) {
    const value = args[index + 1];
    const found = options.find(({ flags, bare }) =>
      bare !== undefined && flags.split(/,? /).includes(option)
    );
    const isValue = value !== undefined && (found?.values?.includes(value) ?? /^\d$/.test(value));
    if (found !== undefined && isValue) {
      return { option: found.flags.match(/--[\w-]+/)?.[0] ?? option, value };
    }
  }
}

function usageError(error: CommanderError, args: readonly string[]): StasisError {
  const [command, asked] = args;
  if (error.code === "commander.help" && command === "help" && asked !== undefined) {
    return new StasisError("usage", `there is no command ${asked}`, { hint: "see the help above" });
  }
  if (error.code === "commander.help") {
    return new StasisError("usage", "no command was given", { hint: "see the help above" });
  }
  const unknown = /^error: unknown option '(.*)'/.exec(error.message)?.[1];
  const answer = unknown === undefined ? undefined : criuAnswer(unknown);
  if (answer !== undefined) {
    return new StasisError("usage", `CRIU's option ${unknown} is not here`, { hint: answer });
  }
  if (error.code === "commander.unknownCommand" && command !== undefined) {
    const instead = criuCommandAnswer(command);
    if (instead !== undefined) {
      return new StasisError("usage", `CRIU's command ${command} is not here`, { hint: instead });
    }
  }
  const apart = error.code === "commander.excessArguments" ? valueApart(args) : undefined;
  if (apart !== undefined) {
    return new StasisError("usage", `${apart.option} has no value ${apart.value} behind a blank`, {
      hint: `write ${apart.option}=${apart.value}`,
    });
  }
  const [first = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const suggestion = /Did you mean (.*)\?/.exec(rest.join(" "))?.[1];
  return new StasisError("usage", first, {
    hint: suggestion === undefined ? "see --help" : `did you mean ${suggestion}?`,
  });
}
