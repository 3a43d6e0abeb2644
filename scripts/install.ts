/**
 * `deno task install`: puts the command `stasis` on the PATH.
 *
 *     deno task install [--prefix DIR] [--force]     writes below DIR (default /usr/local)
 *     deno task install --uninstall [--prefix DIR]   takes it away again
 *
 * `lib/stasis/` gets this checkout as a few files of JavaScript, one for each part that some command does without,
 * and the code that V8 makes of them, compiled to the last function: a command loads and compiles nothing that it
 * does not need. `bin/stasis` is a small script that starts them with this Deno. Plugins of the user import modules
 * of the checkout, and must get those that the command itself uses: with `--plugin` the script runs the checkout.
 *
 * @module
 */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { EXIT_STATUS, StasisError } from "../base/errors.ts";

/** In every file of ours that is looked at before it is replaced or deleted. */
const MARK = "Starts Stasis; written by: deno task install";
/** The checkout. */
const TOP = decodeURI(new URL("..", import.meta.url).pathname);
/**
 * V8 compiles whole files rather than what is called, which takes long once and makes the cached code complete; and
 * its heap begins with room for young objects, in MiB, with which a small checkpoint has one collection and had five. (With
 * twice the room it has none, but a larger one takes longer: to touch new memory costs more than to collect.) Cached code is only good under the flags that it was made with.
 */
const V8_FLAGS = "--v8-flags=--no-lazy,--min-semi-space-size=8";

/** A word for sh, whatever is in it. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The launcher.
 *
 * @param deno the Deno that is running; another from the PATH stands in once it is gone
 * @param library the directory with the bundle and its compiled code
 * @param source path of `cli/main.ts`, for command lines with plugins
 */
export function launcher(deno: string, library: string, source: string): string {
  return `#!/bin/sh
# ${MARK}
deno=${quote(deno)}
library=${quote(library)}
source=${quote(source)}
[ -x "$deno" ] || deno=$(command -v deno) || {
	echo "stasis: there is no Deno: install it (npm install -g deno)" >&2
	exit ${EXIT_STATUS.io}
}
# Deno ends before it runs anything where its working directory has been deleted.
[ . -ef "$PWD" ] || {
	echo "stasis: the working directory is gone: change to one that is there" >&2
	exit ${EXIT_STATUS.io}
}
need() {
	[ -r "$1" ] || {
		echo "stasis: $1 is gone: run 'deno task install' again" >&2
		exit ${EXIT_STATUS.io}
	}
}
for word; do
	case $word in
	--plugin | --plugin=*)
		need "$source"
		exec "$deno" run --quiet --allow-all "$source" "$@"
		;;
	esac
done
need "$library/main.js"
export DENO_DIR="$library/cache"
exec "$deno" run --quiet --allow-all --no-config ${V8_FLAGS} "$library/main.js" "$@"
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

/** Makes the bundle: `main.js` and what it imports, now or when it is needed. */
async function bundle(directory: string): Promise<void> {
  await deno(["bundle", "--quiet", "--code-splitting", "--outdir", directory, "cli/main.ts"]);
  const main = `${directory}/main.js`;
  await Deno.writeTextFile(main, `// ${MARK}\n${await Deno.readTextFile(main)}`);
}

/** Has the code of the bundle compiled and cached, by importing every file once. */
async function compile(library: string): Promise<void> {
  const files = [...Deno.readDirSync(library)].filter(({ isFile }) => isFile);
  const urls = files.map(({ name }) => `${pathToFileURL(library)}/${name}`);
  const program = urls.map((url) => `await import(${JSON.stringify(url)});`).join("");
  await deno([
    "run",
    "--quiet",
    "--allow-all",
    "--no-config",
    V8_FLAGS,
    `data:text/javascript,${encodeURIComponent(program)}`,
  ], { DENO_DIR: `${library}/cache` });
}

/**
 * Installs or uninstalls.
 *
 * @returns what was done, a sentence
 * @throws {RangeError} with a sentence where it must not
 * @throws {StasisError} `io` where the bundle cannot be made; what was installed before is there still
 */
export async function install(
  options: { readonly prefix: string; readonly uninstall: boolean; readonly force: boolean },
): Promise<string> {
  const prefix = resolve(options.prefix);
  const path = `${prefix}/bin/stasis`;
  const library = `${prefix}/lib/stasis`;
  const ours = await isOurs(path);
  if (ours === false && !options.force) {
    throw new RangeError(`${path} is something else; --force overwrites it`);
  }
  const libraryIsThere = await exists(library);
  if (libraryIsThere && !options.force && !await isOurs(`${library}/main.js`)) {
    throw new RangeError(`${library} is something else; --force overwrites it`);
  }
  if (options.uninstall) {
    if (libraryIsThere) await Deno.remove(library, { recursive: true });
    if (ours === undefined) return `there is no ${path}`;
    await Deno.remove(path);
    return `removed ${path}`;
  }
  await Deno.mkdir(`${prefix}/bin`, { recursive: true });
  await Deno.mkdir(`${prefix}/lib`, { recursive: true });
  const unfinished = `.${crypto.randomUUID()}`;
  try {
    await bundle(library + unfinished);
    await Deno.writeTextFile(
      path + unfinished,
      launcher(Deno.execPath(), library, `${TOP}cli/main.ts`),
    );
    await Deno.chmod(path + unfinished, 0o755);
    if (libraryIsThere) await Deno.remove(library, { recursive: true });
    await Deno.rename(library + unfinished, library);
    await compile(library); // the code is cached under the name of its file
    await Deno.rename(path + unfinished, path);
  } catch (error) {
    for (const left of [library + unfinished, path + unfinished]) {
      if (await exists(left)) await Deno.remove(left, { recursive: true });
    }
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
    console.log(`install: ${await install(values)}`);
  } catch (error) {
    const isWrong = error instanceof RangeError || error instanceof TypeError;
    const isDenied = error instanceof Deno.errors.PermissionDenied;
    const isFailed = error instanceof StasisError;
    if (!isWrong && !isDenied && !isFailed) throw error;
    console.error(`install: ${error.message}`);
    if (isFailed) console.error(`hint: ${error.hint}`);
    if (isDenied) {
      console.error("hint: run it as root, or choose a directory of yours with --prefix");
    }
    Deno.exit(isWrong ? 2 : isFailed ? error.exitStatus : 5);
  }
}
