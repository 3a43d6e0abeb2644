/**
 * The types of the module `stasis` for an installation: declarations alone, for editors and `--check`, which need the
 * checkout as little as npm's caches then.
 *
 * @module
 */
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { StasisError } from "../base/errors.ts";

/** A package of npm. */
interface Package {
  readonly directory: string;
  /** Which of its files a name stands for: `.`, `./wire`. */
  readonly exports: Readonly<Record<string, string>>;
}

/** Where modules are. */
export interface Modules {
  /** The checkout, and its modules. */
  readonly checkout: string;
  readonly sources: ReadonlySet<string>;
  /** Packages by their names. */
  readonly packages: ReadonlyMap<string, Package>;
}

/** What stands between quotes where a declaration names another module. */
const SPECIFIER = /(?<=\b(?:from|import) ?\(?)"([^"\n]+)"/g;

/**
 * The module that an import means.
 *
 * @param specifier as it is written
 * @param importer path of the module that has it
 * @returns its path; undefined where it is neither of the checkout nor of a package
 */
export function resolveModule(
  specifier: string,
  importer: string,
  { sources, packages }: Modules,
): string | undefined {
  for (const [name, { directory, exports }] of packages) {
    if (specifier !== name && !specifier.startsWith(`${name}/`)) continue;
    const file = exports[`.${specifier.slice(name.length)}`];
    return file && resolve(directory, file);
  }
  if (!/^(file:|\.{1,2}\/)/.test(specifier)) return undefined;
  const path = specifier.startsWith("file:")
    ? fileURLToPath(specifier)
    : resolve(dirname(importer), specifier);
  const directories = [...packages.values()].map(({ directory }) => `${directory}/`);
  const isKnown = sources.has(path) || directories.some((one) => path.startsWith(one));
  return isKnown ? path : undefined;
}

/** The name below one directory that the declaration of a module gets: `core/task.d.ts`. */
export function declarationName(path: string, { checkout, packages }: Modules): string {
  const name = path.replace(/(\.d)?\.[jt]s$/, ".d.ts");
  for (const [of, { directory }] of packages) {
    if (name.startsWith(`${directory}/`)) return `npm/${of}/${relative(directory, name)}`;
  }
  return relative(checkout, name);
}

/**
 * A declaration that imports others by where they will be.
 *
 * @param text of the module `path`
 * @returns also the modules that it imports
 */
export function relocate(
  text: string,
  path: string,
  modules: Modules,
): { readonly text: string; readonly imports: ReadonlySet<string> } {
  const imports = new Set<string>();
  const here = dirname(declarationName(path, modules));
  const moved = text.replaceAll(SPECIFIER, (whole, specifier: string) => {
    const found = resolveModule(specifier, path, modules);
    if (found === undefined) return whole;
    imports.add(found);
    const way = relative(here, declarationName(found, modules));
    return JSON.stringify(way.startsWith(".") ? way : `./${way}`);
  });
  return { text: moved, imports };
}

/** What `deno info --json` says. */
interface ModuleGraph {
  readonly modules: readonly { readonly specifier: string }[];
  readonly npmPackages: Readonly<
    Record<string, { readonly name: string; readonly localPath: string }>
  >;
}

async function deno(args: readonly string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  const why = new TextDecoder().decode(stderr).trim();
  throw new StasisError("io", `deno ${args[0]} failed: ${why}`);
}

async function readPackage(directory: string): Promise<Package> {
  const { exports } = JSON.parse(await Deno.readTextFile(`${directory}/package.json`)) as {
    exports: Record<string, { readonly import: string }>;
  };
  const files = Object.entries(exports).map(([name, { import: file }]) => [name, file]);
  return { directory, exports: Object.fromEntries(files) };
}

/**
 * Writes the declarations of a module and of all that it has types from.
 *
 * @param checkout its directory
 * @param entry the module, below the checkout
 * @param to a directory; it is made
 * @throws {StasisError} `io` where Deno cannot make them
 */
export async function writeDeclarations(
  checkout: string,
  entry: string,
  to: string,
): Promise<void> {
  const graph: ModuleGraph = JSON.parse(await deno(["info", "--json", entry], checkout));
  const sources = graph.modules.map(({ specifier }) => specifier)
    .filter((specifier) => specifier.startsWith("file:")).map((specifier) =>
      fileURLToPath(specifier)
    );
  const packages = new Map<string, Package>();
  for (const { name, localPath } of Object.values(graph.npmPackages)) {
    // Those of other systems are not there.
    const used = graph.modules.some(({ specifier }) => specifier.startsWith(`npm:/${name}@`));
    if (used) packages.set(name, await readPackage(localPath));
  }
  const modules: Modules = { checkout, sources: new Set(sources), packages };
  const made = await Deno.makeTempDir({ prefix: "stasis-declarations-" });
  try {
    await deno(["transpile", "--quiet", "--declaration", "--outdir", made, ...sources], checkout);
    const queue = [resolve(checkout, entry)];
    const seen = new Set(queue);
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      const name = declarationName(path, modules);
      const from = name.startsWith("npm/")
        ? path.replace(/(\.d)?\.[jt]s$/, ".d.ts")
        : `${made}/${name}`;
      const { text, imports } = relocate(await Deno.readTextFile(from), path, modules);
      await Deno.mkdir(dirname(`${to}/${name}`), { recursive: true });
      await Deno.writeTextFile(`${to}/${name}`, text);
      for (const one of imports) if (!seen.has(one)) queue.push(one);
      for (const one of imports) seen.add(one);
    }
  } finally {
    await Deno.remove(made, { recursive: true });
  }
}
