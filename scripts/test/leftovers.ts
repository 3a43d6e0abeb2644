/**
 * Finds what tests leave behind: processes, mounts and files. Other things may go on on the same machine, so
 * tests are told apart by what they were given: a mark in the environment, which stays with a process through
 * fork, orphanhood, checkpoint and restore, and a directory of their own for temporary files.
 *
 * @module
 */

/** The name of the mark. Whoever clears the environment of what it starts has to hand this on. */
export const MARK = "STASIS_TEST_RUN";

/** What is built is kept in the checkout, out of git's sight, so that it is built once. */
const CACHE = ".cache";

/** What a run of tests is given, and what it must leave as it was. */
export class Surroundings implements AsyncDisposable {
  /** The value of {@link MARK}. */
  readonly mark: string = crypto.randomUUID();
  /** The directory for temporary files. */
  readonly directory: string;
  readonly #checkout: string;
  readonly #before: ReadonlySet<string>;

  private constructor(directory: string, checkout: string) {
    this.directory = directory;
    this.#checkout = checkout;
    this.#before = names(checkout);
  }

  /** @param checkout the directory that the tests run in */
  static async create(checkout: string): Promise<Surroundings> {
    const directory = await Deno.makeTempDir({ prefix: "stasis-test-" });
    // Tests change to other users and work in there.
    await Deno.chmod(directory, 0o1777);
    return new Surroundings(directory, checkout);
  }

  /** The environment to start the tests with. */
  get env(): Record<string, string> {
    return { [MARK]: this.mark, TMPDIR: this.directory };
  }

  /** What is left behind, a sentence each. What died a moment ago is given the time to go. */
  async leftovers(): Promise<string[]> {
    let processes = this.processes();
    for (let round = 0; round < 60 && processes.length > 0; round++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      processes = this.processes();
    }
    return [
      ...processes.map(({ pid, text }) => `process ${pid} still runs: ${text}`),
      ...this.#mounts().map((mount) => `still mounted: ${mount}`),
      ...[...names(this.directory)].map((name) => `temporary file: ${this.directory}/${name}`),
      ...[...names(this.#checkout)].filter((name) => !this.#before.has(name) && name !== CACHE)
        .map((name) => `new in the checkout: ${name}`),
    ];
  }

  /**
   * The processes with the mark, and those which a tool that is dead has started from here. Zombies have no
   * environment, and are no longer ours to end.
   */
  processes(): { readonly pid: number; readonly text: string }[] {
    const found = [];
    for (const entry of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(entry.name)) continue;
      try {
        if (!this.#isMarked(entry.name) && !this.#isOrphanedHelper(entry.name)) continue;
        const text = Deno.readTextFileSync(`/proc/${entry.name}/cmdline`).replaceAll("\0", " ");
        found.push({ pid: Number(entry.name), text: text.trim().slice(0, 200) });
      } catch {
        // It went meanwhile.
      }
    }
    return found;
  }

  #isMarked(pid: string): boolean {
    try {
      const environment = Deno.readTextFileSync(`/proc/${pid}/environ`);
      return environment.split("\0").includes(`${MARK}=${this.mark}`);
    } catch {
      // It belongs to somebody else, or went meanwhile.
      return false;
    }
  }

  /** Whether a process is a helper of Stasis, which has no environment, from this checkout, and has lost its tool. */
  #isOrphanedHelper(pid: string): boolean {
    if (!Deno.readTextFileSync(`/proc/${pid}/cmdline`).startsWith("stasis-")) return false;
    const directory = Deno.readLinkSync(`/proc/${pid}/cwd`);
    if (![this.#checkout, this.directory].some((own) => isWithin(directory, own))) return false;
    const [, parent] = /^PPid:\t(\d+)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`)) ?? [];
    return parent === undefined || !this.#isMarked(parent);
  }

  #mounts(): string[] {
    return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
      .map((line) => line.split(" ")[4] ?? "")
      .filter((mount) => mount.startsWith(`${this.directory}/`));
  }

  /** Ends and deletes what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { pid } of this.processes()) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It went by itself.
      }
    }
    for (const mount of this.#mounts().reverse()) {
      await new Deno.Command("umount", { args: ["-l", mount] }).output();
    }
    await Deno.remove(this.directory, { recursive: true });
  }
}

function names(directory: string): Set<string> {
  return new Set(Array.from(Deno.readDirSync(directory), (entry) => entry.name));
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
