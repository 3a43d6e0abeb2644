/**
 * `deno task install`: puts the command `stasis` on the PATH, a small script that runs this checkout with this
 * Deno.
 *
 *     deno task install [--prefix DIR] [--force]     writes DIR/bin/stasis (default /usr/local)
 *     deno task install --uninstall [--prefix DIR]   takes it away again
 *
 * @module
 */

import { parseArgs } from "node:util";
import { EXIT_STATUS } from "../base/errors.ts";

/** The second line of every launcher of ours: nothing else is replaced or deleted. */
const MARK = "# Starts Stasis; written by: deno task install";

/** A word for sh, whatever is in it. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The launcher.
 *
 * @param deno the Deno that is running; another from the PATH stands in once it is gone
 * @param main path of `cli/main.ts`
 */
export function launcher(deno: string, main: string): string {
  return `#!/bin/sh
${MARK}
deno=${quote(deno)}
main=${quote(main)}
[ -x "$deno" ] || deno=$(command -v deno) || {
	echo "stasis: there is no Deno: install it (npm install -g deno)" >&2
	exit ${EXIT_STATUS.io}
}
[ -r "$main" ] || {
	echo "stasis: $main is gone: run 'deno task install' in the new place" >&2
	exit ${EXIT_STATUS.io}
}
# Deno ends before it runs anything where its working directory has been deleted.
[ . -ef "$PWD" ] || {
	echo "stasis: the working directory is gone: change to one that is there" >&2
	exit ${EXIT_STATUS.io}
}
exec "$deno" run --quiet --allow-all "$main" "$@"
`;
}

/** Whether a file is a launcher of ours; undefined if there is no file. */
async function isOurs(path: string): Promise<boolean | undefined> {
  try {
    return (await Deno.readTextFile(path)).split("\n")[1] === MARK;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Installs or uninstalls.
 *
 * @returns what was done, a sentence
 * @throws {RangeError} with a sentence where it must not
 */
export async function install(
  options: { readonly prefix: string; readonly uninstall: boolean; readonly force: boolean },
): Promise<string> {
  const path = `${options.prefix}/bin/stasis`;
  const ours = await isOurs(path);
  if (ours === false && !options.force) {
    throw new RangeError(`${path} is something else; --force overwrites it`);
  }
  if (options.uninstall) {
    if (ours === undefined) return `there is no ${path}`;
    await Deno.remove(path);
    return `removed ${path}`;
  }
  await Deno.mkdir(`${options.prefix}/bin`, { recursive: true });
  const main = new URL("../cli/main.ts", import.meta.url).pathname;
  const unfinished = `${path}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(unfinished, launcher(Deno.execPath(), decodeURI(main)), { mode: 0o755 });
  await Deno.chmod(unfinished, 0o755); // whatever the umask
  await Deno.rename(unfinished, path);
  const onPath = (Deno.env.get("PATH") ?? "").split(":").includes(`${options.prefix}/bin`);
  return `wrote ${path}${onPath ? "" : `; ${options.prefix}/bin is not on the PATH`}`;
}

if (import.meta.main) {
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
    if (!isWrong && !isDenied) throw error;
    console.error(`install: ${error.message}`);
    if (isDenied) {
      console.error("hint: run it as root, or choose a directory of yours with --prefix");
    }
    Deno.exit(isWrong ? 2 : 5);
  }
}
