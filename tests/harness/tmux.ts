/**
 * A tmux of its own: a server with one window, driven by commands.
 *
 * @module
 */
import { CLOSE_INHERITED } from "./close_inherited.ts";

const PATIENCE = 10_000;

/** A tmux server, whose programs run in pseudoterminals that it has the masters of. */
export class Tmux implements AsyncDisposable {
  readonly #socket: string;
  readonly #home: string;

  private constructor(home: string) {
    this.#home = home;
    this.#socket = `${home}/socket`;
  }

  /** Starts one with a shell in its window, 100 columns by 30 rows. */
  static async start(): Promise<Tmux> {
    const tmux = new Tmux(await Deno.makeTempDir({ prefix: "stasis-tmux-" }));
    const shell = "exec bash --norc --noprofile -i";
    await tmux.run("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", shell);
    await tmux.shows(/[$#]$/);
    return tmux;
  }

  /** Runs a command of tmux. @returns what it says */
  async run(...args: readonly string[]): Promise<string> {
    const command = new Deno.Command("bash", {
      args: ["-c", `${CLOSE_INHERITED}; exec tmux "$@"`, "tmux", "-S", this.#socket, ...args],
      env: { TERM: "screen" },
      stdin: "null",
    });
    const { success, stdout, stderr } = await command.output();
    if (!success) throw new Error(`tmux ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout).trimEnd();
  }

  /** The server's process id. */
  async pid(): Promise<number> {
    return Number(await this.run("display-message", "-p", "#{pid}"));
  }

  /** Presses keys, as tmux calls them. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.run("send-keys", ...keys);
  }

  /** Gives the window another size, and waits until its terminal has it: tmux takes its time to tell it. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.run("resize-window", "-x", String(columns), "-y", String(rows));
    const tty = await this.run("display-message", "-p", "#{pane_tty}");
    const size = async () => {
      const { stdout } = await new Deno.Command("stty", { args: ["-F", tty, "size"] }).output();
      return new TextDecoder().decode(stdout).trim();
    };
    const end = performance.now() + PATIENCE;
    while (await size() !== `${rows} ${columns}`) {
      if (performance.now() > end) throw new Error(`${tty} keeps its size: ${await size()}`);
    }
  }

  /** What the window shows. */
  async screen(): Promise<string> {
    return await this.run("capture-pane", "-p");
  }

  /** Waits until the window shows something. */
  async shows(what: RegExp): Promise<void> {
    const end = performance.now() + PATIENCE;
    for (let screen = await this.screen(); !what.test(screen); screen = await this.screen()) {
      if (performance.now() > end) throw new Error(`tmux does not show ${what}, but:\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("kill-server").catch(() => {});
    await Deno.remove(this.#home, { recursive: true });
  }
}
