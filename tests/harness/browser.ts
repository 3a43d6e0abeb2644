/**
 * A headless Chromium, driven by its debugging protocol (https://chromedevtools.github.io/devtools-protocol/): as much
 * of it as the tests of pages need.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { readCmdline, readProcesses, unlessGone } from "../../core/linux/procfs/mod.ts";
import { BROWSERS, missingTools } from "../../scripts/setup/tools.ts";
import { waitUntil } from "./processes.ts";

/** How long it may take to answer, in milliseconds: it starts on a busy machine. */
const PATIENCE = 60_000;

/** An open page. */
export class Browser implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #waiting = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  readonly #events = new Map<string, (() => void)[]>();
  /** What the page has complained of: errors of scripts, and what its policy has forbidden. */
  readonly complaints: string[] = [];
  #last = 0;
  #session: string | undefined;

  private constructor(child: Deno.ChildProcess, socket: WebSocket, profile: string) {
    this.#child = child;
    this.#socket = socket;
    this.#profile = profile;
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
  }

  /** Starts one. @throws Error where it does not come up */
  static async start(): Promise<Browser> {
    const command = browserCommand();
    const profile = await Deno.makeTempDir({ prefix: "stasis-browser-" });
    const child = new Deno.Command(command, {
      args: [
        "--headless",
        ...["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
        ...["--no-first-run", "--disable-breakpad", "--remote-debugging-port=0"],
        `--user-data-dir=${profile}`,
        "about:blank",
      ],
      env: { HOME: profile },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      const socket = new WebSocket(await debuggerAddress(profile));
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = () => reject(new Error("the browser refuses its debugger"));
      });
      const browser = new Browser(child, socket, profile);
      await browser.#attach();
      return browser;
    } catch (error) {
      child.kill("SIGKILL");
      await child.status;
      await endOthers(profile);
      await Deno.remove(profile, { recursive: true });
      throw error;
    }
  }

  async #attach(): Promise<void> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    this.#session = sessionId as string;
    for (const domain of ["Page", "Runtime", "Log"]) await this.send(`${domain}.enable`);
  }

  /** Opens an address, and waits until it is loaded. */
  async open(url: string): Promise<void> {
    const loaded = this.#event("Page.loadEventFired");
    await this.send("Page.navigate", { url });
    await loaded;
  }

  /** The value of an expression in the page; promises are awaited. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    }) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails !== undefined) {
      throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
    }
    return result.value;
  }

  /** Presses and lets go a key. @param key as `KeyboardEvent.key` has it */
  async press(key: string): Promise<void> {
    const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
    const code = key === "Enter" ? 13 : 0;
    const event = { key, code: key, text, windowsVirtualKeyCode: code };
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  /** Gives the window a size in pixels. */
  async resize(width: number, height: number): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.send("Emulation.setDeviceMetricsOverride", metrics);
  }

  /** Makes a call of the protocol. */
  async send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = ++this.#last;
    const answer = Promise.withResolvers<Record<string, unknown>>();
    this.#waiting.set(id, answer);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }));
    const timer = setTimeout(() => answer.reject(new Error(`${method}: no answer`)), PATIENCE);
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  #event(method: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#events.set(method, [...this.#events.get(method) ?? [], resolve]);
    return promise;
  }

  #hear(message: {
    readonly id?: number;
    readonly method?: string;
    readonly params?: Record<string, unknown>;
    readonly result?: Record<string, unknown>;
    readonly error?: { readonly message: string };
  }): void {
    const { id, method = "", params, result, error } = message;
    if (id !== undefined) {
      if (error === undefined) this.#waiting.get(id)?.resolve(result ?? {});
      else this.#waiting.get(id)?.reject(new Error(error.message));
      return;
    }
    if (method === "Runtime.exceptionThrown" || method === "Log.entryAdded") {
      this.complaints.push(JSON.stringify(params));
    }
    for (const resolve of this.#events.get(method) ?? []) resolve();
    this.#events.delete(method);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    // It ends its other processes by itself then, and cannot any more when it is killed.
    this.#session = undefined;
    await this.send("Browser.close").catch(() => this.#child.kill("SIGKILL"));
    await Promise.all([closed, this.#child.status]);
    await endOthers(this.#profile);
    await Deno.remove(this.#profile, { recursive: true });
  }
}

/** Ends what is left of the processes of a browser, and waits until they are gone: until then they write. */
async function endOthers(profile: string): Promise<void> {
  const left = () =>
    readProcesses().filter((pid) =>
      unlessGone(() => readCmdline(pid), []).includes(`--user-data-dir=${profile}`)
    );
  for (const pid of left()) killUnlessGone(pid);
  await waitUntil(() => left().length === 0, () => "the processes of the browser to end");
}

function killUnlessGone(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function browserCommand(): string {
  const path = (Deno.env.get("PATH") ?? "").split(":").filter((directory) => directory !== "");
  const found = BROWSERS.find((name) =>
    missingTools([{ name, files: [name], debian: [], why: "" }], path, existsSync).length === 0
  );
  if (found !== undefined) return found;
  throw new Error(`there is no browser: install one of ${BROWSERS.join(", ")}`);
}

/** It writes its port and the path of its debugger into its profile. */
async function debuggerAddress(profile: string): Promise<string> {
  for (const begin = performance.now(); performance.now() - begin < PATIENCE;) {
    const text = await Deno.readTextFile(`${profile}/DevToolsActivePort`).catch(() => "");
    const [port, path] = text.split("\n");
    if (path !== undefined && path !== "") return `ws://127.0.0.1:${port}${path}`;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the browser does not come up");
}
