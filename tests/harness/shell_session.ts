/**
 * An interactive shell in a terminal, driven as a person would: what is typed goes in, what it shows comes out. The
 * terminal is script(1)'s.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { CLOSE_INHERITED } from "./close_inherited.ts";
import { isAlive, processTree } from "./processes.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** What stands for a prompt: nothing that is typed has it. */
const PROMPT = "@>";
const PATIENCE = 20_000;

/** Such a shell, mostly a bash in which `stasis` is a command. */
export class ShellSession implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  #shown = "";
  /** How much of what was shown has been looked at. */
  #seen = 0;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    const read = async () => {
      for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
        this.#shown += part;
      }
    };
    this.#reading = read();
  }

  /** Starts one and waits for its prompt. */
  static async start(): Promise<ShellSession> {
    const session = ShellSession.open("bash --norc --noprofile -i", {});
    await session.shows(/[$#] $/);
    const setUp =
      `PS1='@''>'; stasis() { ${Deno.execPath()} run -A --no-check --config ${CONFIG} ${MAIN} "$@"; }`;
    await session.type(`${setUp}\n`);
    await session.prompt();
    return session;
  }

  /** Starts a program in a terminal. @param env beside what this process has */
  static open(command: string, env: Readonly<Record<string, string>>): ShellSession {
    const child = new Deno.Command("bash", {
      args: ["-c", `${CLOSE_INHERITED}; exec script -qfec "exec ${command}" /dev/null`],
      env: { TERM: "dumb", HISTFILE: "", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      detached: true,
    }).spawn();
    return new ShellSession(child);
  }

  /** Everything that was shown. */
  get shown(): string {
    return this.#shown;
  }

  /** Types something; `\x03` is Ctrl-C, `\x1a` Ctrl-Z. */
  async type(text: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(text));
  }

  /** Waits until something is shown behind what was waited for last. @returns the match */
  async shows(what: RegExp): Promise<RegExpExecArray> {
    const end = performance.now() + PATIENCE;
    for (;;) {
      const found = what.exec(this.#shown.slice(this.#seen));
      if (found !== null) {
        this.#seen += found.index + found[0].length;
        return found;
      }
      if (performance.now() > end) {
        throw new Error(`the shell does not show ${what}:\n${this.#shown}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Waits until the shell asks for a command. */
  async prompt(): Promise<void> {
    await this.shows(new RegExp(PROMPT));
  }

  /** Has it run a command, and waits for its end. @returns what it said */
  async run(command: string): Promise<string> {
    await this.type(`${command}\n`);
    const [all] = await this.shows(new RegExp(`[^]*?\\r\\n([^]*?)${PROMPT}`));
    return all.slice(all.indexOf("\n") + 1, -PROMPT.length).replaceAll("\r", "");
  }

  /** A process in the terminal by its name, the one that is furthest from its shell. */
  find(comm: string): number | undefined {
    return processTree(this.#child.pid).findLast((pid) => {
      try {
        return Deno.readTextFileSync(`/proc/${pid}/comm`) === `${comm}\n`;
      } catch {
        return false;
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of processTree(this.#child.pid).reverse()) {
      if (isAlive(pid)) Deno.kill(pid, "SIGKILL");
    }
    await this.#child.status;
    await this.#writer.close().catch(() => {});
    await this.#reading.catch(() => {});
  }
}
