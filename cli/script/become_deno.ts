/**
 * Has Deno take the place of this process, for scripts and plugins of the user: what they import from "stasis" is
 * what this command itself is made of.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName } from "../../core/linux/errno.ts";
import { execute } from "../../core/linux/libc_ffi.ts";
import { CONFIG } from "./module_files.ts";

/**
 * Runs Deno with all permissions. Descriptors, the process id and the terminal stay, so signals and the exit status are
 * the script's own.
 *
 * @param words the subcommand, then its options
 * @param file what it is to run, and its arguments
 * @throws {StasisError} `io` where Deno cannot be started
 */
export function becomeDeno(words: readonly string[], file: readonly string[]): never {
  const [subcommand = "run", ...options] = words;
  const deno = Deno.execPath();
  // What a script imports beside is nobody's else, so no lock file of this repository may change.
  const fixed = ["--quiet", "--allow-all", "--no-lock", "--config", CONFIG];
  const environment = Object.entries(Deno.env.toObject()).map(([name, value]) =>
    `${name}=${value}`
  );
  const errno = errnoName(
    BigInt(-execute(deno, [deno, subcommand, ...fixed, ...options, ...file], environment)),
  );
  throw new StasisError("io", `cannot run ${deno}: ${errno}`, { errno });
}

/**
 * Checks the types of a file and all that it imports; what is wrong goes to stderr. (`deno run --check` does not look at
 * the script where something else is loaded before it.)
 *
 * @throws {StasisError} `usage` where they are wrong
 */
export async function checkTypes(path: string): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--no-lock", "--config", CONFIG, path],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn().status;
  if (!success) throw new StasisError("usage", `the types of ${path} are wrong: see above`);
}

/** The absolute path of a file of the user. @throws {StasisError} `usage` where there is none */
export function scriptPath(file: string): string {
  try {
    return Deno.realPathSync(file);
  } catch (cause) {
    throw new StasisError("usage", `there is no file ${file}`, { cause });
  }
}
