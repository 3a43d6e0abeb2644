/** Completions as people use them: in a shell in a terminal, with the Tab key. */

import { COMMANDS } from "../../cli/commands.ts";
import { completionScript, SHELLS } from "../../cli/completions.ts";
import { allPids } from "../harness/processes.ts";
import { ShellSession } from "../harness/shell_session.ts";

/** Each without what the machine or its user has set up: bash-completion is not there. */
const START = {
  bash: "bash --norc --noprofile -i",
  zsh: "zsh -f -i",
  fish: "fish --no-config -i",
} as const;

/** What is typed before the Tab key, and what stands there then. Nothing else that is shown has that. */
const CASES: readonly (readonly [typed: string, completed: RegExp])[] = [
  ["stasis checkp", /stasis checkpoint /],
  ["stasis checkpoint --leave-r", /--leave-running /],
  ["stasis dump --file-validation mt", /--file-validation mtime /],
  ["stasis restore --manage-cgroups=so", /--manage-cgroups=soft /],
  ["stasis restore --remap /a=/b saved-", /saved-here\//],
  ["stasis checkpoint -D saved-", /-D saved-here\//],
  ["stasis inspect saved-here --core ", /--core 4711 /],
  ["stasis completions z", /completions zsh /],
  ["stasis help ins", /help inspect /],
];

/** A process whose pid is no beginning of another one's, so that there is no choice. */
function longestPid(): string {
  const pids = allPids().map(String).filter((pid) => hasProgram(pid));
  return pids.reduce((longest, pid) => pid.length > longest.length ? pid : longest);
}

function hasProgram(pid: string): boolean {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`) !== "";
  } catch {
    return false;
  }
}

/** Two processes whose pids begin alike. */
class Sleepers implements AsyncDisposable {
  readonly prefix: string;
  readonly #children: readonly Deno.ChildProcess[];

  constructor() {
    this.#children = Array.from(
      { length: 2 },
      () => new Deno.Command("sleep", { args: ["1000"], stdin: "null" }).spawn(),
    );
    const [one, other] = this.#children.map(({ pid }) => String(pid)) as [string, string];
    let length = 0;
    while (one[length] === other[length]) length++;
    this.prefix = one.slice(0, length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      child.kill("SIGKILL");
      await child.status;
    }
  }
}

for (const shell of SHELLS) {
  Deno.test(`${shell} completes commands, options, values, directories and processes`, async () => {
    const home = await Deno.makeTempDir({ prefix: "stasis-completions-" });
    try {
      await Deno.mkdir(`${home}/saved-here`);
      for (const image of ["pstree", "ids-4711"]) {
        await Deno.writeTextFile(`${home}/saved-here/${image}.img`, "");
      }
      await Deno.writeTextFile(`${home}/script`, await completionScript(shell, COMMANDS));
      const places = ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"];
      const env = Object.fromEntries(places.map((name) => [name, home]));
      await using session = ShellSession.open(START[shell], env);
      await session.shows(/[#$%>] /);
      await session.type(`cd ${home}; source ./script; echo is""read\n`);
      await session.shows(/isread/);
      const pid = longestPid();
      const process = [`stasis checkpoint ${pid}`, new RegExp(`${pid} `)] as const;
      // Of several it tells the names, too.
      await using sleepers = new Sleepers();
      const line = `stasis checkpoint ${sleepers.prefix}`;
      const ask = { bash: `${line}\t`, zsh: line, fish: `complete -C "${line}"\n` }[shell];
      const several = [ask, /sleep/] as const;
      for (const [typed, completed] of [...CASES, process, several]) {
        await session.type(`${typed}\t`);
        await session.shows(completed);
        await session.type("\x15"); // Ctrl-U takes the line away
      }
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  });
}
