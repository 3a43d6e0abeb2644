/**
 * Reserved huge pages for a test, where the machine can have them.
 *
 * @module
 */

const RESERVED = "/proc/sys/vm/nr_hugepages";

/**
 * Runs `body` with some more huge pages than before, and a directory of hugetlbfs; where there cannot be any it says so
 * loudly and runs nothing.
 *
 * @param room the directory to make the mount point in
 * @param t the test, which gets the one step that tells whether there were such pages
 */
export async function withHugePages(
  room: string,
  count: number,
  t: Deno.TestContext,
  body: (directory: string) => Promise<void>,
): Promise<void> {
  const read = () => Number(Deno.readTextFileSync(RESERVED));
  const before = read();
  const path = `${room}/huge`;
  Deno.mkdirSync(path);
  let refused = "";
  try {
    Deno.writeTextFileSync(RESERVED, String(before + count));
    if (read() < before + count) refused = `only ${read()} of ${before + count} are there`;
    else refused = run("mount", ["-t", "hugetlbfs", "-o", "pagesize=2M", "stasis-test", path]);
  } catch (error) {
    refused = String(error);
  }
  try {
    await t.step({
      name: refused === "" ? `${count} huge pages` : `NOT RUN, no huge pages: ${refused}`,
      ignore: refused !== "",
      fn: async () => {
        try {
          await body(path);
        } finally {
          run("umount", [path]);
        }
      },
    });
  } finally {
    if (read() !== before) Deno.writeTextFileSync(RESERVED, String(before));
  }
}

/** @returns what it complained of; nothing if it worked */
function run(command: string, args: string[]): string {
  const { success, stderr } = new Deno.Command(command, { args, stdin: "null" }).outputSync();
  return success ? "" : new TextDecoder().decode(stderr).trim() || `${command} failed`;
}
