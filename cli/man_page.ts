/**
 * The manual page, from the descriptions that `--help` is made of. Pure.
 *
 * @module
 */
import type { Command } from "./command.ts";
import { exitStatuses, PROGRAM_DESCRIPTION } from "./help.ts";

/** A text for roff: nothing in it is a request or an escape, and a hyphen is one that can be copied. */
function plain(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll(/^(?=[.'])/gm, "\\&");
}

const bold = (text: string): string => `\\fB${plain(text)}\\fR`;
const italic = (text: string): string => `\\fI${plain(text)}\\fR`;

/** The flags of an option, its names in bold and its value in italics. */
function flagsText(flags: string): string {
  const [, names = "", value] = /^(.*?)(?: ([<[].*))?$/.exec(flags) ?? [];
  const all = names.split(", ");
  const text = all.map(bold).join(", ");
  if (value === undefined) return text;
  const what = italic(value.slice(1, -1));
  if (!value.startsWith("[")) return `${text} ${what}`;
  // As getopt_long(3) has it, the value of a short one has no sign before it.
  return all.map((name) => `${bold(name)}[${name.startsWith("--") ? "=" : ""}${what}]`).join(", ");
}

function commandText(
  { name, alias, description, argument, more, options, examples }: Command,
): string[] {
  const places = [argument?.[0], more?.name].flatMap((place) => place === undefined ? [] : [place]);
  const also = alias === undefined ? "" : `, ${bold(`stasis ${alias}`)}`;
  return [
    `.SS ${bold(`stasis ${name}`)}${places.map((place) => ` ${italic(place)}`).join("")}${also}`,
    plain(description),
    ...[argument, more && [more.name, more.description] as const].flatMap((one) =>
      one === undefined ? [] : [".TP", italic(one[0]), plain(one[1])]
    ),
    ...Object.values(options).flatMap(({ flags, description }) => [
      ".TP",
      flagsText(flags),
      plain(description),
    ]),
    ".PP",
    "Examples:",
    ...examples.flatMap(([line, what]) => [".TP", bold(line), plain(what)]),
  ];
}

/**
 * Makes the page.
 *
 * @param version of Stasis
 */
export function manPage(commands: readonly Command[], version: string): string {
  return [
    `.TH STASIS 1 "" "stasis ${version}" "User Commands"`,
    ".SH NAME",
    `stasis \\- ${plain("checkpoint and restore of Linux process trees")}`,
    ".SH SYNOPSIS",
    ...commands.flatMap(({ name, argument, more }) => [
      `${bold(`stasis ${name}`)} [${italic("options")}]${
        [argument?.[0], more?.name].map((place) => place === undefined ? "" : ` ${italic(place)}`)
          .join("")
      }`,
      ".br",
    ]),
    `${bold("stasis help")} [${italic("command")}]`,
    ".SH DESCRIPTION",
    plain(PROGRAM_DESCRIPTION),
    ".SH COMMANDS",
    ...commands.flatMap(commandText),
    ".SH EXIT STATUS",
    ".TP",
    "0",
    "done",
    ...exitStatuses().flatMap(([status, meaning]) => [".TP", String(status), plain(meaning)]),
    ".SH FILES",
    ".TP",
    italic("PREFIX/share/doc/stasis"),
    plain(
      "the documents that messages name, as docs/support.md; PREFIX is /usr/local if not said otherwise",
    ),
    ".SH SEE ALSO",
    `${bold("criu")}(8), ${bold("ptrace")}(2), ${bold("prctl")}(2)`,
    "",
  ].join("\n");
}
