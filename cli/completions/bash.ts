/**
 * The script for bash. It needs nothing that the package bash-completion brings. Pure.
 *
 * @module
 */
import type { CompletedCommand, Values } from "./words.ts";

/** What sets the candidates for a value. */
function candidates(values: Values): string {
  switch (values) {
    case "pid":
      return "_stasis_pids";
    case "saved pid":
      return "_stasis_saved";
    case "directory":
      return "_stasis_paths -d";
    case "file":
      return "_stasis_paths -f";
    case "anything":
      return ":";
    default:
      return `_stasis_words '${values.join(" ")}'`;
  }
}

function commandCase({ names, options, values }: CompletedCommand): string {
  const taking = options.filter((option) => option.values !== undefined);
  const cases = taking.map(({ names, values, attached }) =>
    // The next word is no value where it may be left out.
    attached
      ? `${names.at(-1)}=) ${candidates(values as Values)} ;;`
      : `${
        names.flatMap((name) => name.startsWith("--") ? [name, `${name}=`] : [name]).join("|")
      }) ${candidates(values as Values)} ;;`
  );
  const words = options.flatMap(({ names }) => names).join(" ");
  const places = values.map((one, index) =>
    `${index === values.length - 1 ? "*" : index}) ${candidates(one)} ;;`
  );
  return `${names.join("|")})
			case $option in
${cases.map((line) => `\t\t\t${line}`).join("\n")}
			*)
				if [[ $current == -* ]]; then _stasis_words '${words}'
				else case $place in
${places.map((line) => `\t\t\t\t${line}`).join("\n")}
				esac; fi ;;
			esac ;;`;
}

/** Makes the script. */
export function bashScript(commands: readonly CompletedCommand[]): string {
  const names = commands.flatMap(({ names }) => names).join(" ");
  const taking = commands.flatMap(({ options }) =>
    options.flatMap(({ names, values, attached }) => values === undefined || attached ? [] : names)
  );
  return `# Completion of stasis for bash; made by: stasis completions bash

_stasis_words() {
	local IFS=$' \\t\\n'
	COMPREPLY=($(compgen -W "$1" -- "$current"))
}

_stasis_paths() {
	local IFS=$'\\n'
	compopt -o filenames 2>/dev/null
	COMPREPLY=($(compgen "$1" -- "$current"))
}

# Processes that have a program (the kernel's have none), with their names while there is a choice.
_stasis_pids() {
	local directory pid name word
	for directory in /proc/[0-9]*; do
		pid=\${directory#/proc/}
		[[ $pid == "$current"* ]] || continue
		{ IFS= read -r -d '' word < "$directory/cmdline"; } 2>/dev/null
		[[ -n $word ]] || continue
		{ IFS= read -r name < "$directory/comm"; } 2>/dev/null || continue
		COMPREPLY+=("$pid  ($name)")
	done
	if ((\${#COMPREPLY[@]} == 1)); then COMPREPLY=("\${COMPREPLY[0]%% *}"); fi
}

# Processes that an image directory has which stands on the line.
_stasis_saved() {
	local word file pid
	for word in "\${COMP_WORDS[@]}"; do
		word=\${word/#\~/$HOME}
		[[ -f $word/pstree.img ]] || continue
		for file in "$word"/ids-*.img; do
			pid=\${file##*/ids-} pid=\${pid%.img}
			[[ $pid == "$current"* ]] && COMPREPLY+=("$pid")
		done
	done
}

_stasis() {
	local command='' option='' place=0 word index current=\${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	for ((index = 1; index < COMP_CWORD; index++)); do
		word=\${COMP_WORDS[index]}
		if [[ -z $command ]]; then
			[[ $word == -* ]] || command=$word
			continue
		fi
		# Readline takes --option=value for three words.
		if [[ $word == = ]]; then option+='='
		elif [[ -n $option && ( $option == *= || ' ${
    taking.join(" ")
  } ' == *" $option "* ) ]]; then option=''
		elif [[ $word == -* ]]; then option=$word
		else option='' place=$((place + 1))
		fi
	done
	if [[ $current == = ]]; then option+='=' current=''; fi
	case $command in
		'')
			if [[ $current == -* ]]; then _stasis_words '--help --version'
			else _stasis_words '${names}'
			fi ;;
${commands.map((command) => `\t\t${commandCase(command)}`).join("\n")}
	esac
}

complete -F _stasis stasis
`;
}
