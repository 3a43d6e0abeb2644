/**
 * A /run of one's own. CRIU keeps there what it has found out about the kernel, and only on a tmpfs: without it
 * each call of CRIU takes 50 ms more, which is not what is to be compared.
 *
 * @module
 */

/** Tells the second start of this process from the first. */
const MARK = "STASIS_BENCH_PRIVATE_RUN";

/** A mount namespace of its own, a tmpfs there, and the command. */
const ENTER = `mount -t tmpfs none /run && exec "$@"`;

/**
 * Starts this very program again in a mount namespace of its own with a tmpfs on /run, unless this is it. The
 * programs that are measured are in there too: a tool and its target share their namespaces.
 *
 * @returns the exit status of the program in there; undefined where this is it
 */
export async function enterPrivateRun(): Promise<number | undefined> {
  if (Deno.env.get(MARK) !== undefined) return undefined;
  const again = [Deno.execPath(), "run", "--quiet", "--allow-all", Deno.mainModule, ...Deno.args];
  const { code } = await new Deno.Command("unshare", {
    args: ["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", ...again],
    env: { [MARK]: "1" },
  }).spawn().status;
  return code;
}
