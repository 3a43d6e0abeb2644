// SPDX-License-Identifier: MIT
/**
 * What the host tells the guest to do and what the guest reports: files in a directory that both see.
 * `run.sh` and `settings.sh` go in, `status` comes back.
 *
 * @module
 */

/** Quotes a word for the shell, whatever is in it (except NUL, which no argument can have). */
export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * The script that runs a command.
 *
 * @param argv the command and its arguments, found by `PATH`
 * @param directory where to run it
 * @param env the whole environment
 */
export function runScript(
  argv: readonly string[],
  directory: string,
  env: Readonly<Record<string, string>>,
): string {
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${shellQuote(value)}`);
  return [
    `cd ${shellQuote(directory)} || exit 127`,
    `exec env -i ${[...assignments, ...argv.map(shellQuote)].join(" ")}`,
    "",
  ].join("\n");
}

/** What `init.sh` has to know before it runs anything. */
export function settingsScript(repository: string, hasShare: boolean): string {
  return `REPOSITORY=${shellQuote(repository)}\nSHARE=${hasShare ? "yes" : ""}\n`;
}

/** The exit status in the guest's report, as a shell sees it (0 to 255), or `undefined`. */
export function parseStatus(text: string): number | undefined {
  return /^\d{1,3}\n$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}
