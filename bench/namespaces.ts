/**
 * Surroundings of one's own for a run of the bench.
 *
 * - Process ids: on a busy machine those of a large tree that was ended are taken by others in no time, and it
 *   could not be restored. And whatever becomes of the bench, nothing of it goes on running.
 * - System V objects, which others make meanwhile: of such a one it may not be known whose it is.
 * - /run: CRIU keeps there what it has found out about the kernel, and only on a tmpfs. Without it each call of CRIU
 *   takes 50 ms more, which is not what is to be compared.
 *
 * @module
 */

/** Tells the second start of this process from the first. */
const MARK = "STASIS_BENCH_INSIDE";

/** Its shell is the first process of the namespace, which no signal of the terminal ends. */
const INSIDE = `mount -t tmpfs none /run && "$@"`;

/**
 * Starts this very program again in namespaces of its own, unless this is it. The
 * programs that are measured are in there too: a tool and its target share their namespaces.
 *
 * @returns the exit status of the program in there; undefined where this is it
 */
export async function enterNamespaces(): Promise<number | undefined> {
  if (Deno.env.get(MARK) !== undefined) return undefined;
  const namespaces = ["--mount", "--propagation", "private", "--ipc", "--pid", "--fork"];
  const again = [Deno.execPath(), "run", "--quiet", "--allow-all", Deno.mainModule, ...Deno.args];
  const { code } = await new Deno.Command("unshare", {
    args: [...namespaces, "--mount-proc", "--kill-child", "sh", "-c", INSIDE, "sh", ...again],
    env: { [MARK]: "1" },
  }).spawn().status;
  return code;
}
