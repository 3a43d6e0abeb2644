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

/** Two processes whose pids begin alike. */
class Sleepers implements AsyncDisposable {
  /** How both pids begin. */
  readonly prefix: string;
  /** The pid of one of them, which is no beginning of another process's. */
  readonly pid: string;
  readonly #children: Deno.ChildProcess[] = [];

  constructor() {
    const start = () => {
      const child = new Deno.Command("sleep", { args: ["1000"], stdin: "null" }).spawn();
      this.#children.push(child);
      return String(child.pid);
    };
    const isBeginning = (pid: string) =>
      allPids().map(String).some((other) => other !== pid && other.startsWith(pid));
    const other = start();
    this.pid = start();
    while (isBeginning(this.pid)) this.pid = start();
    let length = 0;
    while (this.pid[length] === other[length]) length++;
    this.prefix = other.slice(0, length);
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
      await using sleepers = new Sleepers();
      const { pid } = sleepers;
      const process = [`stasis checkpoint ${pid}`, new RegExp(`${pid} `)] as const;
      // Of several it tells the names, too.
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
