/**
 * Compiles the C programs of the tests and examples, each once: the result is kept in `.cache/subjects`
 * of the repository under a name that holds the hash of everything it was made of.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the compiled programs are kept; `.gitignore` covers it. */
export const CACHE_DIR = fileURLToPath(new URL("../../.cache/subjects", import.meta.url));

/** Where the sources of the test subjects are. */
export const SUBJECTS_DIR = fileURLToPath(new URL("../subjects", import.meta.url));

const FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"];

/**
 * Compiles one C file with the headers of its folder.
 *
 * @param source path of the `.c` file
 * @param flags flags after the usual ones (`-static`, for example)
 * @returns the path of the program, made now or kept from an earlier time
 * @throws Error where there is no compiler (it names the Debian package), or what the compiler said
 */
export async function buildProgram(source: string, flags: readonly string[] = []): Promise<string> {
  const name = source.slice(source.lastIndexOf("/") + 1).replace(/\.c$/, "");
  const program = join(CACHE_DIR, `${name}-${await hashOf(source, flags)}`);
  if (await isFile(program)) return program;

  await Deno.mkdir(CACHE_DIR, { recursive: true });
  const unfinished = await Deno.makeTempFile({ dir: CACHE_DIR, prefix: `${name}-` });
  try {
    const output = await cc([...FLAGS, ...flags, source, "-o", unfinished]);
    if (!output.success) {
      throw new Error(`cc cannot build ${source}:\n${new TextDecoder().decode(output.stderr)}`);
    }
    // Two test files may build the same subject at once, and one of them run it already: the first one stays.
    await Deno.link(unfinished, program).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
  } finally {
    await Deno.remove(unfinished).catch(() => {});
  }
  return program;
}

/** The program of the test subject `name`: {@link buildProgram} of `tests/subjects/NAME.c`. */
export function buildSubject(name: string, flags: readonly string[] = []): Promise<string> {
  return buildProgram(join(SUBJECTS_DIR, `${name}.c`), flags);
}

/**
 * Compiles one file of Go.
 *
 * @param program where the program goes; beside it stands the compiler's cache
 * @returns why it cannot be, where there is no Go
 * @throws Error with what the compiler said
 */
export async function buildGo(source: string, program: string): Promise<string | undefined> {
  const cache = `${program}.cache`;
  try {
    const { success, stderr } = await new Deno.Command("go", {
      args: ["build", "-o", program, source],
      env: { HOME: cache, GOCACHE: cache, GO111MODULE: "off" },
    }).output();
    if (!success) throw new Error(`go cannot build ${source}: ${new TextDecoder().decode(stderr)}`);
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "there is no Go: install golang-go";
    throw error;
  }
}

/** The names of all test subjects, sorted. */
export async function subjectNames(): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(SUBJECTS_DIR)) {
    if (entry.name.endsWith(".c")) names.push(entry.name.slice(0, -2));
  }
  return names.sort();
}

async function hashOf(source: string, flags: readonly string[]): Promise<string> {
  const folder = dirname(source);
  const headers: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    if (entry.name.endsWith(".h")) headers.push(join(folder, entry.name));
  }
  const parts = await Promise.all(
    [source, ...headers.sort()].map((file) => Deno.readTextFile(file)),
  );
  const everything = [...FLAGS, ...flags, await compilerVersion(), ...parts].join("\0");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(everything));
  return new Uint8Array(digest.slice(0, 6)).toHex();
}

let version: Promise<string> | undefined;

function compilerVersion(): Promise<string> {
  version ??= cc(["--version"]).then((output) => new TextDecoder().decode(output.stdout));
  return version;
}

async function cc(args: string[]): Promise<Deno.CommandOutput> {
  try {
    return await new Deno.Command("cc", { args, stdin: "null" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error("there is no C compiler: install Debian's packages gcc and libc6-dev");
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}
