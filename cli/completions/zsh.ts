/**
 * The script for zsh: to be read by it, or to stand as `_stasis` in a directory of its `fpath`. Pure.
 *
 * @module
 */
import type { CompletedCommand, CompletedOption, Values } from "./words.ts";

/** What completes a value, behind its message (_arguments of zshcompsys(1)). */
function action(values: Values): string {
  switch (values) {
    case "pid":
      return "_stasis_pids";
    case "saved pid":
      return "_stasis_saved";
    case "directory":
      return "_files -/";
    case "file":
      return "_files";
    case "anything":
      return " ";
    default:
      return `(${values.join(" ")})`;
  }
}

/** A word in single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A description between brackets, or a message between colons. */
function described(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, "\\$&");
}

function optionSpecs(
  { names, description, values, attached, repeatable }: CompletedOption,
): string[] {
  const others = repeatable ? "*" : names.length > 1 ? `(${names.join(" ")})` : "";
  return names.map((name) => {
    const long = name.startsWith("--");
    const joint = values === undefined ? "" : attached ? (long ? "=-" : "-") : long ? "=" : "+";
    const value = values === undefined ? "" : `:${attached ? ":" : ""}value:${action(values)}`;
    return quoted(`${others}${name}${joint}[${described(description)}]${value}`);
  });
}

function commandCase({ names, options, values }: CompletedCommand): string {
  const places = values.map((one, index) =>
    quoted(`${index === values.length - 1 ? "*" : index + 1}:argument:${action(one)}`)
  );
  const specs = [...options.flatMap(optionSpecs), ...places];
  return `\t${names.join("|")})\n\t\t_arguments -s ${specs.join(" \\\n\t\t\t")} ;;`;
}

/** Makes the script. */
export function zshScript(commands: readonly CompletedCommand[]): string {
  const names = commands.flatMap(({ names, summary }) =>
    names.map((name) => `\t\t\t${quoted(`${name}:${described(summary)}`)}`)
  );
  return `#compdef stasis
# Completion of stasis for zsh; made by: stasis completions zsh

# Processes that have a program: the kernel's have none.
_stasis_pids() {
	local directory pid
	local -a processes
	for directory in /proc/<->(N); do
		pid=\${directory:t}
		[[ -n "$(tr -d '\\0' < $directory/cmdline)" ]] 2>/dev/null || continue
		processes+=("$pid:\${"$(<$directory/comm)"//:/\\\\:}")
	done 2>/dev/null
	_describe -V process processes
}

# Processes that an image directory has which stands on the line.
_stasis_saved() {
	local word
	local -a pids
	for word in \${\${(Q)words}/#\\~/$HOME}; do
		[[ -f $word/pstree.img ]] || continue
		pids+=($word/ids-*.img(N:t:r:s/ids-//))
	done
	compadd -a pids
}

_stasis() {
	local curcontext=$curcontext context state state_descr line
	typeset -A opt_args
	_arguments -C '(- *)'{-h,--help}'[print help]' '(- *)'{-V,--version}'[print the version]' \\
		'1:command:->command' '*::argument:->argument'
	case $state in
	command)
		local -a commands=(
${names.join("\n")}
		)
		_describe command commands ;;
	argument)
		curcontext="\${curcontext%:*:*}:stasis-$words[1]:"
		case $words[1] in
${commands.map(commandCase).join("\n")}
		esac ;;
	esac
}

if [[ $funcstack[1] == _stasis ]]; then
	_stasis "$@"
else
	(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
	compdef _stasis stasis
fi
`;
}
