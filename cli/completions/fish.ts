/**
 * The script for fish. Pure.
 *
 * @module
 */
import type { CompletedCommand, CompletedOption, Values } from "./words.ts";

function candidates(values: Values): string {
  switch (values) {
    case "pid":
      return "'(__stasis_pids)'";
    case "saved pid":
      return "'(__stasis_saved)'";
    case "directory":
      return "'(__fish_complete_directories)'";
    case "file":
      return "'(__fish_complete_path)'";
    case "anything":
      return "";
    default:
      return quoted(values.join(" "));
  }
}

/** A word in single quotes, in which fish knows two escapes. */
function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function optionLine(
  when: string,
  { names, description, values, attached }: CompletedOption,
): string {
  const flags = names.map((name) =>
    name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`
  );
  const found = values === undefined ? "" : candidates(values);
  const value = found === "" ? "" : ` -a ${found}`;
  // Where words or ids are wanted no file is one of them (-x); fish offers files beside others otherwise.
  const isFound = values === "directory" || values === "file" || values === "anything";
  const needs = values === undefined || attached ? "" : isFound ? " -r" : " -x";
  return `complete -c stasis -n ${when} ${flags.join(" ")}${needs}${value} -d ${
    quoted(description)
  }`;
}

/** Makes the script. */
export function fishScript(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap(({ names, summary, options, values }) => {
    const when = quoted(`__fish_seen_subcommand_from ${names.join(" ")}`);
    const places = [...new Set(values.map(candidates))].filter((found) => found !== "");
    return [
      ...names.map((name) =>
        `complete -c stasis -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`
      ),
      ...places.map((found) => `complete -c stasis -n ${when} -a ${found}`),
      ...options.map((option) => optionLine(when, option)),
    ];
  });
  return `# Completion of stasis for fish; made by: stasis completions fish

# Processes that have a program: the kernel's have none.
function __stasis_pids
	for directory in /proc/*/cmdline
		string match -qr '^/proc/\\d+/' $directory; or continue
		set -l process (path dirname $directory)
		test -n "$(cat $directory 2>/dev/null | tr -d '\\0' | string collect)"; or continue
		printf '%s\\t%s\\n' (path basename $process) "($(cat $process/comm 2>/dev/null))"
	end
end

# Processes that an image directory has which stands on the line.
function __stasis_saved
	for word in (commandline -opc | string replace -r '^~' $HOME)
		test -f $word/pstree.img; or continue
		string replace -rf '.*/ids-(\\d+)\\.img$' '$1' -- $word/ids-*.img
	end
end

complete -c stasis -e
complete -c stasis -f
complete -c stasis -n __fish_use_subcommand -s h -l help -d 'print help'
complete -c stasis -n __fish_use_subcommand -s V -l version -d 'print the version'
${lines.join("\n")}
`;
}
