/**
 * What a command is: its name, argument and options as data, and what it does. The help, the completions and the
 * two parsers (`plain_arguments.ts`, `program.ts`) are made of the one description.
 *
 * @module
 */
import type { SetStatus } from "./status.ts";

/** An option. */
export interface OptionDescription {
  /**
   * As the help shows it: `-D, --images-dir <dir>`; what has no `<value>` is a switch. A `[value]` may be left out, and
   * is given behind an equals sign alone, as getopt_long(3) has it: the next word is none.
   */
  readonly flags: `${"" | `-${string}, `}--${string}`;
  /** For the help. */
  readonly description: string;
  /** Whether it may be given many times, with one more value each time. */
  readonly repeatable?: boolean;
  /** The words that its value can be, if those are known: shells complete them. */
  readonly values?: readonly string[];
  /** The value of an option with a `[value]` that is given without. */
  readonly bare?: string;
}

/** The options of a command, each under its long name in camel case. */
export type OptionDescriptions = Readonly<Record<string, OptionDescription>>;

type OptionValue<Option extends OptionDescription> = Option extends { readonly repeatable: true }
  ? readonly string[]
  : Option extends { readonly flags: `${string} <${string}>` | `${string} [${string}]` } ? string
  // False: its opposite, `--no-...`, was given.
  : boolean;

/** What was given for the options of a command. */
export type OptionValues<Options extends OptionDescriptions> = {
  readonly [Name in keyof Options]?: OptionValue<Options[Name]>;
};

/** What was given for the options of any command. */
export type AnyOptionValues = Readonly<Record<string, string | boolean | readonly string[]>>;

interface CommandDescription {
  /** Its name. */
  readonly name: string;
  /** Another name for it. */
  readonly alias?: string;
  /** A line for the list of commands. */
  readonly summary: string;
  /** What it does, for its help. */
  readonly description: string;
  /** Its one argument, which can be left out, as the help shows it: `["[dir]", "the image directory"]`. */
  readonly argument?: readonly [name: string, description: string];
  /** The words that the argument can be, if those are known: shells complete them. */
  readonly argumentValues?: readonly string[];
  /** Another word behind it, or any number. */
  readonly more?: {
    /** As the help shows it: `[other]`, `[others...]`. */
    readonly name: string;
    readonly description: string;
    /** Whether they are another program's, options too: all that stands behind the argument. */
    readonly passed?: boolean;
  };
  /** Pairs of a command line and what it does, for its help. */
  readonly examples: readonly (readonly [string, string])[];
}

/** A command. */
export interface Command extends CommandDescription {
  /** Its options, in the order of the help. */
  readonly options: OptionDescriptions;
  /**
   * Does it.
   *
   * @param more the words behind the argument, where it takes some
   * @throws {StasisError} where it cannot
   */
  run(
    argument: string | undefined,
    options: AnyOptionValues,
    setStatus: SetStatus,
    more: readonly string[],
  ): Promise<void>;
}

/** Describes a command. */
export function defineCommand<const Options extends OptionDescriptions>(
  command: CommandDescription & {
    readonly options: Options;
    run(
      argument: string | undefined,
      options: OptionValues<Options>,
      setStatus: SetStatus,
      more: readonly string[],
    ): Promise<void>;
  },
): Command {
  // Both parsers give each option the type that its description says.
  return command as unknown as Command;
}
