/**
 * The options that several commands have, and how their values are read.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import type {
  CgroupRoot,
  FileValidation,
  ManageCgroups,
  Plugin,
  TimeNamespaceMode,
} from "../core/plugin.ts";
import type { OptionDescription } from "./command.ts";

/** What a wrong value of an option or argument is answered with. */
function usage(message: string, hint?: string): StasisError {
  return new StasisError("usage", message, { hint });
}

/** Plugins of the user. */
export const PLUGIN_OPTION = {
  flags: "--plugin <file>",
  description: "a TypeScript module with a plugin; repeatable",
  repeatable: true,
} as const satisfies OptionDescription;

/** Scripts and commands of the user around operations. */
export const AROUND_OPTIONS = {
  actionScript: {
    flags: "--action-script <file>",
    description:
      "run a script at every stage, told in CRTOOLS_SCRIPT_ACTION, as by CRIU: pre-dump, post-dump, pre-restore, post-restore, pre-resume, post-resume; repeatable",
    repeatable: true,
  },
  before: {
    flags: "--before <command>",
    description: "run a command of a shell before it; if that fails, nothing is done",
  },
  after: {
    flags: "--after <command>",
    description: "run a command of a shell after it, also where it has failed",
  },
} as const satisfies Record<string, OptionDescription>;

/** The plugins that run them. */
export async function aroundPlugins(
  { actionScript: files = [], before, after }: {
    readonly actionScript?: readonly string[];
    readonly before?: string;
    readonly after?: string;
  },
): Promise<Plugin[]> {
  if (files.length === 0 && before === undefined && after === undefined) return [];
  const { actionScript, aroundCommands } = await import("../plugins/action_script/mod.ts");
  const commands = before ?? after;
  return [
    ...files.map(actionScript),
    ...commands === undefined ? [] : [aroundCommands({ before, after })],
  ];
}

const MODES: readonly ManageCgroups[] = ["none", "props", "soft", "full", "strict", "ignore"];

/** What becomes of control groups, as of CRIU. */
export const MANAGE_CGROUPS = {
  flags: "--manage-cgroups [mode]",
  values: MODES,
  bare: "soft",
} as const satisfies Omit<OptionDescription, "description">;

/** Groups that take the place of others. */
export const CGROUP_ROOT = {
  flags: "--cgroup-root <path>",
  repeatable: true,
} as const satisfies Omit<OptionDescription, "description">;

/** Where hierarchies are mounted. */
export const CGROUP_YARD = {
  flags: "--cgroup-yard <dir>",
  description: "accepted as by CRIU: hierarchies are found wherever they are mounted",
} as const satisfies OptionDescription;

/** Reads what becomes of control groups. @throws {StasisError} `usage` */
export function parseManageCgroups(text: string | undefined): ManageCgroups | undefined {
  const mode = MODES.find((one) => one === text);
  if (text !== undefined && mode === undefined) {
    throw usage(`"${text}" is no way to manage control groups`, `one of ${MODES.join(", ")}`);
  }
  return mode;
}

/** Reads `[CONTROLLER:]/PATH` (CRIU's way to write it). @throws {StasisError} `usage` */
export function parseCgroupRoots(values: readonly string[]): CgroupRoot[] {
  return values.map((value) => {
    const match = /^(?:([^:/]*):)?(\/[^]*)$/.exec(value);
    const path = match?.[2] ?? "";
    const isPath = path === "/" || /^(\/[^/\n]+)+$/.test(path) && !/\/\.\.?(\/|$)/.test(path);
    if (match === null || !isPath) {
      throw usage(
        `"${value}" is no control group`,
        "write /PATH, or CONTROLLER:/PATH, as memory:/jobs/7; with nothing before the colon for cgroup v2",
      );
    }
    return match[1] === undefined ? { path } : { controller: match[1], path };
  });
}

/** Reads a process id. @throws {StasisError} `usage` */
export function parsePid(text: string): number {
  const pid = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (pid < 1 || pid > 0x7fffffff) throw usage(`"${text}" is no process id`, "give a number");
  return pid;
}

/**
 * Reads `fd[N]:RESOURCE` (CRIU's way to write it): the resource's name to a descriptor of this process.
 *
 * @throws {StasisError} `usage`
 */
export function parseInheritFds(values: readonly string[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const value of values) {
    const match = /^fd\[(\d{1,9})\]:(.+)$/s.exec(value);
    if (match === null) {
      throw usage(
        `"${value}" is no descriptor to inherit`,
        "write fd[N]:RESOURCE, for example 'fd[1]:pipe:[12345]'",
      );
    }
    if (match[2]! in found) throw usage(`${match[2]} is given two descriptors`);
    found[match[2]!] = Number(match[1]);
  }
  return found;
}

const UNITS: Readonly<Record<string, bigint>> = {
  "": 1n,
  K: 1n << 10n,
  M: 1n << 20n,
  G: 1n << 30n,
};

/** Reads a size, as `512K` or `3M`, in bytes. @throws {StasisError} `usage` */
export function parseSize(text: string): bigint {
  const match = /^(\d{1,15})([KMG]?)$/.exec(text);
  if (match === null) throw usage(`"${text}" is no size`, "write bytes, or 512K, 3M, 1G");
  return BigInt(match[1]!) * UNITS[match[2]!]!;
}

/** Reads how many checkpoints are kept. @throws {StasisError} `usage` */
export function parseKeep(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) {
    throw usage(`"${text}" is no number of checkpoints to keep`, "keep 1 at least");
  }
  return Number(text);
}

/** Reads a time in seconds, as `10` or `0.5`, in milliseconds. @throws {StasisError} `usage` */
export function parseSeconds(text: string): number {
  if (!/^\d{1,6}(\.\d{1,3})?$/.test(text)) {
    throw usage(`"${text}" is no time in seconds`, "write 10, 0.5, or 0 for no limit");
  }
  return Number(text) * 1000;
}

/** Whether a restored tree gets a time namespace. */
export const TIME_NAMESPACE_MODES: readonly TimeNamespaceMode[] = ["auto", "always", "never"];

/** Reads whether a restored tree gets a time namespace. @throws {StasisError} `usage` */
export function parseTimeNamespace(text: string): TimeNamespaceMode {
  const mode = TIME_NAMESPACE_MODES.find((one) => one === text);
  if (mode === undefined) {
    throw usage(`"${text}" is no way to treat clocks`, `say ${TIME_NAMESPACE_MODES.join(", ")}`);
  }
  return mode;
}

/** Reads `FROM=TO`, absolute paths both, `=` in them included. @throws {StasisError} `usage` */
export function parseRemaps(values: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const value of values) {
    const [given = "", to = "", ...more] = value.split("=/");
    if (!given.startsWith("/") || !value.includes("=/") || more.length > 0) {
      throw usage(`"${value}" is no remapping of a path`, "write /FROM=/TO");
    }
    const parts = given.split("/").filter((part) => part !== "");
    // Paths of the images have none of these.
    if (parts.includes("..") || parts.includes(".")) {
      throw usage(`"${given}" is no path that images can have`, "write it without . and ..");
    }
    const from = `/${parts.join("/")}`;
    if (from in found) throw usage(`${from} is remapped twice`);
    found[from] = `/${to}`;
  }
  return found;
}

/**
 * The one value that was given as an argument or as an option.
 *
 * @param what its name, for messages
 * @throws {StasisError} `usage` where both were given and differ
 */
export function either(
  what: string,
  argument: string | undefined,
  option: string | undefined,
): string | undefined {
  if (argument !== undefined && option !== undefined && argument !== option) {
    throw usage(`the ${what} is given twice: ${argument} and ${option}`);
  }
  return argument ?? option;
}

/**
 * Loads plugins of the user: the default export of each module, one plugin or a list.
 *
 * @param files paths from the working directory
 * @throws {StasisError} `usage` where a file is not there or holds no plugin
 */
export async function loadPlugins(files: readonly string[]): Promise<Plugin[]> {
  const plugins: Plugin[] = [];
  for (const file of files) {
    let path: string;
    try {
      path = await Deno.realPath(file);
    } catch (cause) {
      throw new StasisError("usage", `there is no plugin ${file}`, { cause });
    }
    let module: { readonly default?: unknown };
    try {
      module = await import(`file://${path.split("/").map(encodeURIComponent).join("/")}`);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new StasisError("usage", `the plugin ${file} cannot be loaded: ${why}`, { cause });
    }
    const found = [module.default].flat();
    if (!found.every(isPlugin)) {
      throw usage(`${file} exports no plugin`, "export default definePlugin({ ... })");
    }
    plugins.push(...found);
  }
  return plugins;
}

function isPlugin(value: unknown): value is Plugin {
  const { name, description } = (value ?? {}) as Partial<Plugin>;
  return typeof name === "string" && typeof description === "string";
}

const FILE_VALIDATIONS: Readonly<Record<string, FileValidation>> = {
  buildid: "buildid",
  size: "size",
  // CRIU's name for it.
  filesize: "size",
  mtime: "mtime",
  none: "none",
};

/** By what a changed file is told. */
export const FILE_VALIDATION = {
  flags: "--file-validation <how>",
  values: Object.keys(FILE_VALIDATIONS),
} as const satisfies Omit<OptionDescription, "description">;

/** Reads by what a changed file is told. @throws {StasisError} `usage` */
export function parseFileValidation(text: string | undefined): FileValidation | undefined {
  if (text === undefined || Object.hasOwn(FILE_VALIDATIONS, text)) {
    return text === undefined ? undefined : FILE_VALIDATIONS[text];
  }
  throw usage(`"${text}" is no way to tell a changed file`, "one of buildid, size, mtime, none");
}

/** How packets of connections are held back: one way is here. */
export const NETWORK_LOCK = {
  flags: "--network-lock <method>",
  values: ["nftables", "iptables"],
  description:
    "accepted as by CRIU: packets are held back by nftables, and iptables means the same",
} as const satisfies OptionDescription;

/** Reads its value. @throws {StasisError} `usage` */
export function parseNetworkLock(text: string | undefined): void {
  if (text === undefined || text === "nftables" || text === "iptables") return;
  throw new StasisError("usage", `--network-lock ${text} is not there`, {
    hint: "leave it out, or give nftables",
  });
}
