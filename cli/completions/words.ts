/**
 * What can be completed: the commands and their options as the shells' scripts need them. Pure.
 *
 * @module
 */
import type { Command } from "../command.ts";

/** What a value can be: one of some words, something that the shell finds, or anything. */
export type Values = readonly string[] | "pid" | "saved pid" | "directory" | "file" | "anything";

/** An option. */
export interface CompletedOption {
  /** All its names: `-D`, `--images-dir`. */
  readonly names: readonly string[];
  readonly description: string;
  /** Its value; undefined for a switch. */
  readonly values?: Values;
  /** Whether the value stands behind an equals sign alone, and may be left out. */
  readonly attached: boolean;
  readonly repeatable: boolean;
}

/** A command. */
export interface CompletedCommand {
  /** Its name, and its other one. */
  readonly names: readonly string[];
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** Its arguments, one after the other. */
  readonly values: readonly Values[];
}

/** What stands for a value in the help, and what the shell can find for it. */
const PLACES: Readonly<Record<string, Values>> = {
  pid: "pid",
  pattern: "pid",
  saved: "saved pid",
  dir: "directory",
  before: "directory",
  after: "directory",
  file: "file",
  script: "file",
};

const HELP: CompletedOption = {
  names: ["-h", "--help"],
  description: "print help",
  attached: false,
  repeatable: false,
};

/** The commands as shells complete them, the help among them. */
export function completedCommands(commands: readonly Command[]): readonly CompletedCommand[] {
  const described = commands.map((
    { name, alias, summary, argument, argumentValues, more, options },
  ) => ({
    names: alias === undefined ? [name] : [name, alias],
    summary,
    options: [...Object.values(options).map(completedOption), HELP],
    values: [
      ...argument === undefined ? [] : [argumentValues ?? valuesOf(argument[0])],
      ...more === undefined ? [] : [valuesOf(more.name)],
    ],
  }));
  const names = described.flatMap(({ names }) => names);
  return [...described, {
    names: ["help"],
    summary: "print help of a command",
    options: [],
    values: [names],
  }];
}

function completedOption(
  { flags, description, repeatable = false, values }: Command["options"][string],
): CompletedOption {
  const [, names = "", place] = /^(.*?)(?: ([<[].*))?$/.exec(flags) ?? [];
  return {
    names: names.split(", "),
    description,
    values: place === undefined ? undefined : values ?? valuesOf(place),
    attached: place?.startsWith("[") ?? false,
    repeatable,
  };
}

function valuesOf(place: string): Values {
  return PLACES[place.replace(/^[<[](\w+).*$/, "$1")] ?? "anything";
}
