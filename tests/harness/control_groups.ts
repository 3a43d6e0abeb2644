/**
 * Control groups for tests: made below a mount that is there, or below one of the test's own, and taken away again.
 *
 * @module
 */
import { readMountinfo } from "../../core/linux/procfs/mod.ts";
import { waitUntil } from "./processes.ts";
import { skip } from "./skip.ts";

/** A hierarchy of cgroup v1 of the tests' own, which any kernel with cgroup v1 can have. */
export const OWN_HIERARCHY = `name=stasis-${Deno.pid}`;

/** A hierarchy that a test needs: its name as of {@link Hierarchy.find}, or any that has a controller. */
export type NeededHierarchy = string | { readonly controller: string };

/**
 * Makes a test that needs hierarchies; where there is one that it cannot have it is skipped.
 *
 * @param needed which they are, in the order in which the test gets them
 */
export function onHierarchies(
  needed: readonly NeededHierarchy[],
  run: (t: Deno.TestContext, ...found: Hierarchy[]) => Promise<void>,
): (t: Deno.TestContext) => Promise<void> {
  return async (t) => {
    await using all = new AsyncDisposableStack();
    const found: Hierarchy[] = [];
    for (const one of needed) {
      const hierarchy = typeof one === "string"
        ? Hierarchy.find(one)
        : Hierarchy.having(one.controller);
      if (typeof hierarchy === "string") return skip(t, hierarchy);
      found.push(all.use(hierarchy));
    }
    await run(t, ...found);
  };
}

/** A hierarchy that groups can be made in. */
export class Hierarchy implements AsyncDisposable {
  readonly #groups: string[] = [];

  private constructor(
    /** Its controllers with commas between them; empty for cgroup v2. */
    readonly name: string,
    /** The directory of its root. */
    readonly directory: string,
    readonly ownMount: string | undefined,
  ) {}

  /**
   * Finds a hierarchy, or mounts it.
   *
   * @param name a controller of cgroup v1, `name=NAME`, or nothing for cgroup v2
   * @returns why there is none, as text
   */
  static find(name: string): Hierarchy | string {
    const mounts = readMountinfo(Deno.pid).filter(({ fsType, superOptions, root, options }) =>
      root === "/" && options.includes("rw") &&
      (name === "" ? fsType === "cgroup2" : fsType === "cgroup" && superOptions.includes(name))
    );
    for (const { mountPoint, superOptions } of mounts) {
      const whole = name === "" || name.startsWith("name=")
        ? name
        : superOptions.filter((one) => CONTROLLERS.has(one)).join(",");
      if (canMakeGroups(mountPoint)) return new Hierarchy(whole, mountPoint, undefined);
    }
    return Hierarchy.#mount(name);
  }

  /** Finds the hierarchy in which groups can have the settings of a controller, whichever version it is of. */
  static having(controller: string): Hierarchy | string {
    const two = Hierarchy.find("");
    if (typeof two !== "string") {
      const enabled = Deno.readTextFileSync(`${two.directory}/cgroup.subtree_control`);
      if (enabled.trim().split(" ").includes(controller)) return two;
      two.#unmount();
    }
    return Hierarchy.find(controller);
  }

  static #mount(name: string): Hierarchy | string {
    const directory = Deno.makeTempDirSync({ prefix: "stasis-cgroups-" });
    const options = name === "" ? [] : ["-o", name.startsWith("name=") ? `none,${name}` : name];
    const { success, stderr } = new Deno.Command("mount", {
      args: ["-t", name === "" ? "cgroup2" : "cgroup", ...options, "none", directory],
    }).outputSync();
    if (success && canMakeGroups(directory)) return new Hierarchy(name, directory, directory);
    if (success) new Deno.Command("umount", { args: [directory] }).outputSync();
    Deno.removeSync(directory);
    const why = new TextDecoder().decode(stderr).trim();
    return `no control groups can be made here (${name === "" ? "cgroup v2" : name}): ${
      why || "read-only"
    }`;
  }

  /** Makes a group of this test's own. @param name in place of a random one; a path for one in others */
  make(name = `stasis-test-${crypto.randomUUID()}`): ControlGroup {
    let path = "";
    for (const part of name.split("/")) {
      path += `/${part}`;
      if (this.#groups.includes(path)) continue;
      Deno.mkdirSync(this.directory + path);
      this.#groups.push(path);
    }
    return new ControlGroup(this, path);
  }

  /**
   * Has the root of cgroup v2 hand a controller on for as long as this is not disposed of; `refused` says why it
   * cannot be.
   */
  handOn(controller: string): Disposable & { readonly refused?: string } {
    const file = `${this.directory}/cgroup.subtree_control`;
    const change = (sign: string) => Deno.writeTextFileSync(file, sign + controller);
    if (Deno.readTextFileSync(file).trim().split(" ").includes(controller)) {
      return { [Symbol.dispose]: () => {} };
    }
    try {
      change("+");
    } catch (error) {
      const refused = `the root of cgroup v2 hands ${controller} not on: ${
        (error as Error).message
      }`;
      return { refused, [Symbol.dispose]: () => {} };
    }
    return { [Symbol.dispose]: () => change("-") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#groups.reverse()) await removeGroup(this.directory + path);
    this.#unmount();
  }

  #unmount(): void {
    if (this.ownMount === undefined) return;
    new Deno.Command("umount", { args: [this.ownMount] }).outputSync();
    Deno.removeSync(this.ownMount);
  }
}

const CONTROLLERS = new Set(
  (() => {
    try {
      return Deno.readTextFileSync("/proc/cgroups");
    } catch {
      return "";
    }
  })().split("\n").map((line) => line.split("\t")[0] as string),
);

function canMakeGroups(directory: string): boolean {
  const probe = `${directory}/stasis-probe-${crypto.randomUUID()}`;
  try {
    Deno.mkdirSync(probe);
    Deno.removeSync(probe);
    return true;
  } catch {
    return false;
  }
}

/** A control group. */
export class ControlGroup {
  constructor(
    readonly hierarchy: Hierarchy,
    /** From the root of the hierarchy. */
    readonly path: string,
  ) {}

  /** Its directory. */
  get directory(): string {
    return this.hierarchy.directory + this.path;
  }

  /** As messages name it. */
  get title(): string {
    return this.hierarchy.name === "" ? this.path : `${this.path} (${this.hierarchy.name})`;
  }

  /** Takes a process in. */
  enter(pid: number): void {
    this.write("cgroup.procs", String(pid));
  }

  /** Writes to one of its files. */
  write(file: string, text: string): void {
    Deno.writeTextFileSync(`${this.directory}/${file}`, text);
  }

  /** What one of its files says, without the last newline; undefined where there is none. */
  read(file: string): string | undefined {
    try {
      return Deno.readTextFileSync(`${this.directory}/${file}`).trimEnd();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** Whether it exists. */
  get exists(): boolean {
    try {
      return Deno.statSync(this.directory).isDirectory;
    } catch {
      return false;
    }
  }

  /** Takes it away. */
  async remove(): Promise<void> {
    await removeGroup(this.directory);
  }
}

/** The group that a task or thread is in. @param hierarchy its controllers; empty for cgroup v2 */
export function groupOf(hierarchy: Hierarchy, pid: number, tid = pid): string {
  const lines = Deno.readTextFileSync(`/proc/${pid}/task/${tid}/cgroup`).split("\n");
  const line = lines.find((one) => one.split(":")[1] === hierarchy.name);
  return line?.split(":").slice(2).join(":") ?? "";
}

/** A group can be removed when the last of its tasks is dead. */
async function removeGroup(path: string): Promise<void> {
  let why = "";
  await waitUntil(() => {
    try {
      Deno.removeSync(path);
      return true;
    } catch (error) {
      why = String(error);
      return error instanceof Deno.errors.NotFound;
    }
  }, () => `the control group ${path} to be removed: ${why}`);
}
