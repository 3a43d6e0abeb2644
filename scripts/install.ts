/**
 * `deno task install`: puts the command `stasis` on the PATH.
 *
 *     deno task install [--prefix DIR] [--force]     writes below DIR (default /usr/local)
 *     deno task install --uninstall [--prefix DIR]   takes it away again
 *
 * `lib/stasis/` gets Deno, unless this one is there for all who are to use it, and this checkout as a few files of
 * JavaScript, one for each part that some command does without, and the code that V8 makes of them, compiled to the
 * last function: a command loads and compiles nothing that it does not need. Scripts and plugins of the user import
 * the same files as "stasis", by `lib/stasis/deno.json`, whose types are in `lib/stasis/types`. `bin/stasis` is a small
 * script that starts them, `lib/stasis/uninstall` one that takes all away without the checkout. `share/` gets the manual page, the documents, and what makes shells complete. `lib/stasis/directories` has
 * the directories that were made.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { EXIT_STATUS, StasisError } from "../base/errors.ts";
import { asStasisError } from "../base/thrown.ts";
import { COMMANDS } from "../cli/commands.ts";
import { completionScript } from "../cli/completions.ts";
import { manPage } from "../cli/man_page.ts";
import { VERSION } from "../cli/version.ts";
import { writeDeclarations } from "./declarations.ts";

/** In the first two lines of every file of ours that is looked at before it is replaced or deleted. */
const MARK = "written by: deno task install";
/** The checkout. */
const TOP = decodeURI(new URL("..", import.meta.url).pathname);
/**
 * V8 compiles whole files rather than what is called, which takes long once and makes the cached code complete. Its
 * heap begins with room for young objects, in MiB, with which a small checkpoint has three collections and had five;
 * with twice the room it has one and is no quicker, for to touch new memory costs as much as to collect, and three
 * thousand processes take ten MiB more. It stays at that room, and grows by a third before all of it is looked at,
 * rather than four times: ten thousand threads take a third less memory, and no more time. For still larger trees it is
 * told when to collect (`core/garbage.ts`). It marks at once rather than bit by bit: what becomes garbage meanwhile would stay until the next time, some twentieth of the
 * memory of three thousand processes, and a checkpoint of hundreds takes a little less processor time. Objects of more
 * than a dozen private fields stay what others are, rather than become hash tables of three to six times their size:
 * those of threads and tasks are such. Cached code is only good under the flags that it was made with.
 */
const V8_FLAGS = [
  "--no-lazy",
  "--min-semi-space-size=4",
  "--max-semi-space-size=4",
  "--heap-growing-percent=30",
  "--expose-gc",
  "--no-incremental-marking",
  "--fast-properties-soft-limit=64",
];
const V8_ARGUMENT = `--v8-flags=${V8_FLAGS.join(",")}`;

/** A word for sh, whatever is in it. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The launcher.
 *
 * @param deno the Deno that runs it; another from the PATH stands in once it is gone
 * @param library the directory with the bundle and its compiled code
 */
export function launcher(deno: string, library: string): string {
  return `#!/bin/sh
# Starts Stasis; ${MARK}
deno=${quote(deno)}
library=${quote(library)}
[ -x "$deno" ] || deno=$(command -v deno) || {
	echo "stasis: there is no Deno: install it (npm install -g deno)" >&2
	exit ${EXIT_STATUS.io}
}
# Deno ends before it runs anything where its working directory has been deleted.
[ . -ef "$PWD" ] || {
	echo "stasis: the working directory is gone: change to one that is there" >&2
	exit ${EXIT_STATUS.io}
}
[ -r "$library/main.js" ] || {
	echo "stasis: $library/main.js is gone: run 'deno task install' again" >&2
	exit ${EXIT_STATUS.io}
}
# What scripts and plugins of the user import beside is cached where it is theirs.
own() {
	exec "$deno" run --quiet --allow-all --no-lock --config "$library/deno.json" "$library/main.js" "$@"
}
case \${1-} in
script | plugin) own "$@" ;;
esac
for word; do
	case $word in
	--) break ;;
	--plugin | --plugin=*) own "$@" ;;
	esac
done
# A job is to have what the user has: jobs/program.ts.
export STASIS_DENO_DIR="\${DENO_DIR-}" DENO_DIR="$library/cache"
exec "$deno" run --quiet --allow-all --no-config ${V8_ARGUMENT} "$library/main.js" "$@"
`;
}

/** Whether a file is one of ours; undefined if there is no file. */
async function isOurs(path: string): Promise<boolean | undefined> {
  try {
    return (await Deno.readTextFile(path)).split("\n", 2).some((line) => line.endsWith(MARK));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** @throws {StasisError} `io` with what Deno says */
async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: TOP,
    env: { NO_COLOR: "1", ...env },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) {
    const why = new TextDecoder().decode(stderr).trim();
    throw new StasisError("io", `deno ${args[0]} failed: ${why}`, {
      hint: "it downloads the bundler (esbuild) from the npm registry once",
    });
  }
}

/** What scripts and plugins of the user import "stasis" by, types included. */
const CONFIG = { imports: { "stasis": "./library.js" } };

/** Makes the bundle: `main.js`, `library.js`, `script/preload.js`, and what they import, now or when it is needed. */
async function bundle(directory: string): Promise<void> {
  const entries = ["cli/main.ts", "cli/library.ts", "cli/script/preload.ts"];
  await deno(["bundle", "--quiet", "--code-splitting", "--outdir", directory, ...entries]);
  await hideImports(directory);
  const prefixes = {
    "main.js": `// Stasis; ${MARK}\n`,
    "library.js": '/* @ts-self-types="./types/mod.d.ts" */\n',
  };
  for (const [name, prefix] of Object.entries(prefixes)) {
    const path = `${directory}/${name}`;
    await Deno.writeTextFile(path, prefix + await Deno.readTextFile(path));
  }
  await Deno.writeTextFile(`${directory}/deno.json`, JSON.stringify(CONFIG, null, 2) + "\n");
}

/**
 * Has Deno read what is imported when it is needed only then: what it can see that a module may import one day, it reads
 * at the start, and all parts of all commands take it longer than a help or completions.
 */
async function hideImports(directory: string): Promise<void> {
  for (const { name } of Deno.readDirSync(directory)) {
    if (!name.endsWith(".js")) continue;
    const path = `${directory}/${name}`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace(/\bimport\(("\.\/[^"]+")\)/g, "import([$1][0])"));
  }
}

/** Has the code of the bundle compiled and cached, by importing every file once. */
async function compile(library: string): Promise<void> {
  const files = [...Deno.readDirSync(library)].filter(({ name }) => name.endsWith(".js"));
  const urls = files.map(({ name }) => `${pathToFileURL(library)}/${name}`);
  const program = urls.map((url) => `await import(${JSON.stringify(url)});`).join("");
  await deno([
    "run",
    "--quiet",
    "--allow-all",
    "--no-config",
    V8_ARGUMENT,
    `data:text/javascript,${encodeURIComponent(program)}`,
  ], { DENO_DIR: `${library}/cache` });
}

/**
 * What takes an installation away where there is no checkout any more: what is its own still, and directories that it
 * has made and that are empty.
 */
function uninstaller(library: string, files: readonly string[], made: readonly string[]): string {
  const deepest = [...made].sort((a, b) => b.length - a.length);
  // In one piece: it deletes itself on the way.
  return `#!/bin/sh
# Takes Stasis away; ${MARK}
{
	for file in ${files.map(quote).join(" ")}; do
		head -n 2 "$file" 2>/dev/null | grep -q ${quote(MARK)} && rm -f "$file"
	done
	rm -rf ${quote(library)}
	rmdir ${deepest.map(quote).join(" ")} 2>/dev/null
	exit 0
}
`;
}

/** Whether a Deno stays where it is, and everybody can use it who can use what is below a prefix. */
async function staysUsable(path: string, prefix: string): Promise<boolean> {
  // npx keeps it in a cache, which npm may clear.
  if (/\/(_npx|_cacache|\.npm|\.cache)\//.test(path)) return false;
  const home = Deno.env.get("HOME");
  if (home !== undefined && prefix.startsWith(`${home}/`)) return true;
  for (let at = path; at !== "/"; at = dirname(at)) {
    if (((await Deno.stat(at)).mode ?? 0) % 2 === 0) return false;
  }
  return true;
}

/** Puts a Deno into a directory: the same file by another name where nobody else can change it, else a copy. */
async function includeDeno(from: string, to: string): Promise<void> {
  const { uid, mode } = await Deno.stat(from);
  if (uid === Deno.uid() && ((mode ?? 0) & 0o777) === 0o755) {
    try {
      return await Deno.link(from, to);
    } catch {
      // It is on another file system, or on one without such names.
    }
  }
  await Deno.copyFile(from, to);
  await Deno.chmod(to, 0o755);
}

/** The documents, which messages name so: `docs/support.md`. */
function documents(): string[] {
  return [...Deno.readDirSync(`${TOP}docs`)].map(({ name }) => `docs/${name}`)
    .filter((path) => path.endsWith(".md"));
}

/** The files below `share/`: each by its path, with the mark in its second line. */
async function sharedFiles(): Promise<Map<string, string>> {
  const marked = (text: string, comment: string): string =>
    text.replace("\n", `\n${comment} Stasis; ${MARK}\n`);
  const places = {
    bash: "bash-completion/completions/stasis",
    zsh: "zsh/site-functions/_stasis",
    fish: "fish/vendor_completions.d/stasis.fish",
  } as const;
  const files = new Map([["man/man1/stasis.1", marked(manPage(COMMANDS, VERSION), '.\\"')]]);
  for (const [shell, path] of Object.entries(places)) {
    const script = await completionScript(shell as keyof typeof places, COMMANDS);
    files.set(path, marked(script, "#"));
  }
  for (const path of ["README.md", ...documents()]) {
    const text = await Deno.readTextFile(TOP + path);
    files.set(`doc/stasis/${path}`, marked(text, "[//]: #"));
  }
  return files;
}

/** Makes a directory and those above it. @returns those that were not there */
async function makeDirectory(path: string): Promise<string[]> {
  if (await exists(path)) return [];
  const made = await makeDirectory(dirname(path));
  await Deno.mkdir(path);
  return [...made, path];
}

/** Removes the directories that an installation has made, those that are empty. */
async function removeDirectories(made: readonly string[]): Promise<void> {
  for (const path of [...made].sort((a, b) => b.length - a.length)) {
    try {
      await Deno.remove(path);
    } catch {
      // Somebody else has something in it, or has removed it.
    }
  }
}

/** The directories that the installation in a library has made. */
async function readMade(library: string): Promise<string[]> {
  const list = `${library}/directories`;
  if (!await exists(list)) return [];
  return (await Deno.readTextFile(list)).split("\0").filter((path) => path !== "");
}

/**
 * Installs or uninstalls.
 *
 * @returns what was done, a sentence
 * @throws {RangeError} with a sentence where it must not
 * @throws {StasisError} `io` where the bundle cannot be made; what was installed before is there still
 */
export async function install(
  options: {
    readonly prefix: string;
    readonly uninstall: boolean;
    readonly force: boolean;
    /** Whether types are installed, too, which takes several times as long as the rest. */
    readonly types: boolean;
  },
): Promise<string> {
  if (options.prefix === "") {
    throw new StasisError("usage", "the value of --prefix is empty", { hint: "name a directory" });
  }
  const prefix = resolve(options.prefix);
  const path = `${prefix}/bin/stasis`;
  const library = `${prefix}/lib/stasis`;
  const shared = new Map(
    [...await sharedFiles()].map(([file, text]) => [`${prefix}/share/${file}`, text]),
  );
  for (const file of [path, ...shared.keys()]) {
    if (await isOurs(file) === false && !options.force) {
      throw new RangeError(`${file} is something else; --force overwrites it`);
    }
  }
  const isThere = await exists(path);
  const libraryIsThere = await exists(library);
  if (libraryIsThere && !options.force && !await isOurs(`${library}/main.js`)) {
    throw new RangeError(`${library} is something else; --force overwrites it`);
  }
  const made = await readMade(library);
  if (options.uninstall) {
    for (const file of shared.keys()) if (await exists(file)) await Deno.remove(file);
    if (libraryIsThere) await Deno.remove(library, { recursive: true });
    if (isThere) await Deno.remove(path);
    await removeDirectories(made);
    return isThere ? `removed ${path}` : `there is no ${path}`;
  }
  const unfinished = `.${crypto.randomUUID()}`;
  try {
    for (const file of [path, library, ...shared.keys()]) {
      made.push(...await makeDirectory(dirname(file)));
    }
    await bundle(library + unfinished);
    if (options.types) {
      await writeDeclarations(resolve(TOP), "mod.ts", `${library}${unfinished}/types`);
    }
    let deno = Deno.execPath();
    if (!await staysUsable(deno, prefix)) {
      await includeDeno(deno, `${library}${unfinished}/deno`);
      deno = `${library}/deno`;
    }
    await Deno.writeTextFile(`${library}${unfinished}/directories`, made.join("\0"));
    await Deno.writeTextFile(
      `${library}${unfinished}/uninstall`,
      uninstaller(library, [path, ...shared.keys()], made),
    );
    await Deno.writeTextFile(path + unfinished, launcher(deno, library));
    await Deno.chmod(path + unfinished, 0o755);
    if (libraryIsThere) await Deno.remove(library, { recursive: true });
    await Deno.rename(library + unfinished, library);
    await compile(library); // the code is cached under the name of its file
    for (const [file, text] of shared) await Deno.writeTextFile(file, text);
    await Deno.rename(path + unfinished, path);
  } catch (error) {
    for (const left of [library + unfinished, path + unfinished]) {
      if (await exists(left)) await Deno.remove(left, { recursive: true });
    }
    await removeDirectories(made);
    throw error;
  }
  const onPath = (Deno.env.get("PATH") ?? "").split(":").includes(`${prefix}/bin`);
  return `wrote ${path}${onPath ? "" : `; ${prefix}/bin is not on the PATH`}`;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

if (import.meta.main) {
  Deno.umask(0o022); // every user may use it
  try {
    const { values } = parseArgs({
      args: Deno.args,
      options: {
        prefix: { type: "string", default: "/usr/local" },
        uninstall: { type: "boolean", default: false },
        force: { type: "boolean", default: false },
      },
    });
    console.log(`install: ${await install({ ...values, types: true })}`);
  } catch (error) {
    const isWrong = error instanceof RangeError || error instanceof TypeError;
    const isDenied = error instanceof Deno.errors.PermissionDenied;
    if (!isWrong && !isDenied) {
      const { code, message, hint, exitStatus } = asStasisError(error);
      if (code === "internal") throw error;
      console.error(`install: ${message}`);
      if (hint !== undefined) console.error(`hint: ${hint}`);
      Deno.exit(exitStatus);
    }
    console.error(`install: ${error.message}`);
    if (isDenied) {
      console.error("hint: run it as root, or choose a directory of yours with --prefix");
    }
    Deno.exit(isWrong ? 2 : 5);
  }
}
