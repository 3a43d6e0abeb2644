/**
 * Reads the command lines that nearly all are: a command, its options written out, its argument. Everything else
 * (help, errors, suggestions, joined short options, most `--`) is left to commander, which reads these lines in the same
 * way but takes longer to load than a small checkpoint.
 *
 * @module
 */
import type { AnyOptionValues, Command, OptionDescription } from "./command.ts";

/** A command line that was read. */
export interface PlainArguments {
  /** What to run. */
  readonly command: Command;
  /** Its argument, if it was given. */
  readonly argument?: string;
  /** Its options, those that were given. */
  readonly options: AnyOptionValues;
  /** The words behind its argument. */
  readonly more: readonly string[];
}

/**
 * Reads a command line.
 *
 * @param args without the program's name
 * @returns undefined where it is none of the plain ones
 */
export function readPlainArguments(
  commands: readonly Command[],
  args: readonly string[],
): PlainArguments | undefined {
  const [name, ...words] = args;
  if (name === undefined) return undefined;
  const command = commands.find((one) => name === one.name || name === one.alias);
  if (command === undefined) return undefined;
  const options: Record<string, string | true | string[]> = {};
  let argument: string | undefined;
  const more: string[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (!word.startsWith("-")) {
      if (word === "") return undefined;
      if (command.argument === undefined) return undefined;
      if (argument === undefined) argument = word;
      else if (takesAnother(command, more.length)) more.push(word);
      else return undefined;
      if (command.more?.passed) more.push(...words.splice(0));
      continue;
    }
    if (word === "--" && command.more?.passed && argument === undefined) {
      argument = words.shift();
      if (argument === undefined || argument === "") return undefined;
      more.push(...words.splice(0));
      continue;
    }
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const flag = equals < 0 ? word : word.slice(0, equals);
    // Commander takes it for the opposite of the option without "no".
    if (flag.startsWith("--no-")) return undefined;
    const found = Object.entries(command.options).find(([, option]) => hasFlag(option, flag));
    if (found === undefined) return undefined;
    const [key, { flags, repeatable = false, bare }] = found;
    if (bare !== undefined) {
      const value = equals < 0 ? bare : word.slice(equals + 1);
      if (value === "") return undefined;
      options[key] = repeatable ? [...options[key] as string[] ?? [], value] : value;
      continue;
    }
    if (!flags.endsWith(">")) {
      if (equals >= 0) return undefined;
      options[key] = true;
      continue;
    }
    const value = equals < 0 ? words.shift() : word.slice(equals + 1);
    // Commander takes whatever comes; a word like this is more likely a slip, and its affair.
    if (value === undefined || value === "" || value.startsWith("-")) return undefined;
    options[key] = repeatable ? [...options[key] as string[] ?? [], value] : value;
  }
  return { command, argument, options, more };
}

/** Whether a word may stand behind the argument and so many others. */
function takesAnother({ more }: Command, count: number): boolean {
  return more !== undefined && (count === 0 || more.name.endsWith("...]"));
}

function hasFlag({ flags }: OptionDescription, flag: string): boolean {
  return flags.replace(/ [<[].*[>\]]$/, "").split(", ").includes(flag);
}
