/**
 * The help as commander prints it, made of the commands' descriptions without commander, which takes longer to load
 * than all else that a help needs. A test compares the two.
 *
 * @module
 */
import type { Command } from "./command.ts";
import { examplesHelp, exitStatusHelp, PROGRAM_DESCRIPTION, STATUS_POINTER } from "./help.ts";
import { hasColour, paint } from "./ui/colour.ts";
import { VERSION } from "./version.ts";

/** Where a help is printed. */
export interface HelpStyle {
  /** How wide it is, in characters. */
  readonly width: number;
  readonly colour: boolean;
}

/** What is described, and how. */
type Item = readonly [term: string, description: string];

/** What is narrower is not wrapped. */
const NARROWEST = 40;
/** The width of what is no terminal. */
const USUAL = 80;

/** The options that are not among a command's own. */
export const HELP_FLAGS = "-h, --help", HELP_SUMMARY = "print help";
export const VERSION_FLAGS = "-V, --version", VERSION_SUMMARY = "print the version";
/** The command that is not among the others. */
export const HELP_COMMAND: Item = ["help [command]", "print help of a command"];

/**
 * The whole answer to a command line that asks for help or for the version and for nothing else.
 *
 * @param args without the program's name
 * @returns undefined where it is none of the usual ones
 */
export function helpAnswer(
  commands: readonly Command[],
  args: readonly string[],
): string | undefined {
  const [first, second] = args;
  if (first === undefined || args.length > 2) return undefined;
  const asks = (word: string) => HELP_FLAGS.split(", ").includes(word);
  const find = (word: string) =>
    commands.find(({ name, alias }) => word === name || word === alias);
  if (second === undefined) {
    if (VERSION_FLAGS.split(", ").includes(first)) return VERSION;
    return asks(first) || first === "help" ? programHelp(commands, styleOfOutput()) : undefined;
  }
  const command = asks(second) ? find(first) : first === "help" ? find(second) : undefined;
  return command && commandHelp(command, styleOfOutput());
}

function styleOfOutput(): HelpStyle {
  const width = Deno.stdout.isTerminal() ? Deno.consoleSize().columns : USUAL;
  return { width, colour: hasColour(Deno.stdout) };
}

/** The help of the program, without the last line's end. */
export function programHelp(commands: readonly Command[], style: HelpStyle): string {
  const options: Item[] = [[VERSION_FLAGS, VERSION_SUMMARY], [HELP_FLAGS, HELP_SUMMARY]];
  const items = commands.map((command): Item => [usageOf(command), command.summary]);
  return [
    ...head("stasis [options] [command]", PROGRAM_DESCRIPTION, style),
    ...lists([["Options:", options], ["Commands:", [...items, HELP_COMMAND]]], style),
    exitStatusHelp().slice(1),
  ].join("\n");
}

/** The help of a command, without the last line's end. */
export function commandHelp(command: Command, style: HelpStyle): string {
  const { description, argument, more, options, examples } = command;
  const args: Item[] = [];
  if (argument !== undefined) args.push([bare(argument[0]), argument[1]]);
  if (more !== undefined) args.push([bare(more.name), more.description]);
  const flags = Object.values(options).map(({ flags, description }): Item => [
    optionTerm(flags),
    description,
  ]);
  return [
    ...head(`stasis ${usageOf(command, true)}`, description, style),
    ...lists([["Arguments:", args], ["Options:", [...flags, [HELP_FLAGS, HELP_SUMMARY]]]], style),
    examplesHelp(examples).slice(1) + STATUS_POINTER,
  ].join("\n");
}

/** As getopt_long(3) has it: the next word is no value. */
export function optionTerm(flags: string): string {
  return flags.replace(/ (\[.*)(\])$/, (_, open, close) => `[=${open.slice(1)}${close}`);
}

/** A command with its arguments. @param hasHelp whether its option for help counts */
function usageOf({ name, alias, argument, more, options }: Command, hasHelp = false): string {
  const hasOptions = hasHelp || Object.keys(options).length > 0;
  const names = alias === undefined ? name : `${name}|${alias}`;
  const words = [names, hasOptions ? "[options]" : undefined, argument?.[0], more?.name];
  return words.filter((word) => word !== undefined).join(" ");
}

/** The name of an argument: `dir` of `[dir]`, `args` of `[args...]`. */
function bare(argument: string): string {
  return argument.replace(/^[[<](.*?)(\.\.\.)?[\]>]$/, "$1");
}

function head(usage: string, description: string, { width, colour }: HelpStyle): string[] {
  return [`${paint("bold", "Usage:", colour)} ${usage}`, "", ...wrap(description, width), ""];
}

/** Lists with their titles; all terms are of one width. */
function lists(all: readonly (readonly [string, readonly Item[]])[], style: HelpStyle): string[] {
  const filled = all.filter(([, items]) => items.length > 0);
  const longest = Math.max(...filled.flatMap(([, items]) => items.map(([term]) => term.length)));
  const indent = " ".repeat(longest + 4);
  return filled.flatMap(([title, items]) => [
    paint("bold", title, style.colour),
    ...items.flatMap(([term, description]) => {
      const [first, ...others] = wrap(description, style.width - indent.length);
      return [`  ${term.padEnd(longest)}  ${first}`, ...others.map((line) => indent + line)];
    }),
    "",
  ]);
}

/** The lines of a text. */
function wrap(text: string, width: number): string[] {
  if (width < NARROWEST) return [text];
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line === "") line = word;
    else if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}
