/**
 * A file system that fills up soon: a tmpfs of its own.
 *
 * @module
 */

/** A small file system. */
export interface SmallDisk {
  /** Where it is mounted. */
  readonly path: string;
  /** Sets its limit: `size=64k` or `nr_inodes=8`, as tmpfs(5) has them. */
  limit(option: string): void;
}

/**
 * Runs `body` with a small file system; where none can be mounted it says so loudly and runs nothing.
 *
 * @param room the directory to make its mount point in
 * @param t the test, which gets the one step that tells whether there was such a disk
 */
export async function withSmallDisk(
  room: string,
  t: Deno.TestContext,
  body: (disk: SmallDisk) => Promise<void>,
): Promise<void> {
  const path = `${room}/disk`;
  Deno.mkdirSync(path);
  const refused = mount(["-t", "tmpfs", "-o", "size=1m", "stasis-test", path]);
  await t.step({
    name: refused === "" ? "a tmpfs of its own" : `NOT RUN, no tmpfs can be mounted: ${refused}`,
    ignore: refused !== "",
    fn: async () => {
      try {
        await body({
          path,
          limit(option) {
            // What one option does not name keeps its last value.
            const whole = `remount,size=64m,nr_inodes=10000,${option}`;
            const error = mount(["-o", whole, path]);
            if (error !== "") throw new Error(error);
          },
        });
      } finally {
        run("umount", [path]);
      }
    },
  });
}

const mount = (args: string[]) => run("mount", args);

/** @returns what it complained of; nothing if it worked */
function run(command: string, args: string[]): string {
  const { success, stderr } = new Deno.Command(command, { args, stdin: "null" }).outputSync();
  return success ? "" : new TextDecoder().decode(stderr).trim() || `${command} failed`;
}
