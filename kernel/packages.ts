// SPDX-License-Identifier: MIT
/**
 * The system packages that building and booting need: looked up, installed where that is possible, and
 * named where it is not.
 *
 * @module
 */

import { StasisError } from "../base/errors.ts";
import { run, tryRun } from "./command.ts";

/** The kernel's source. Its package names the version of the kernel, its own version the exact source. */
export const SOURCE_PACKAGE = "linux-source-6.1";

/** What `make vmlinux` and the steps around it need on Debian. */
export const BUILD_PACKAGES: readonly string[] = [
  SOURCE_PACKAGE,
  "gcc",
  "libc6-dev",
  "make",
  "flex",
  "bison",
  "bc",
  "libelf-dev",
  "patch",
  "xz-utils",
];

/** What booting the result needs on Debian. */
export const VM_PACKAGES: readonly string[] = [
  "qemu-system-x86",
  "busybox-static",
  "e2fsprogs",
  "dash",
  "bash",
];

/** What is put into the VM for tests with programs that are not ours: a peer, and a user of dispatch. */
export const PEER_PACKAGES: readonly string[] = ["criu", "stress-ng"];

/** What the kernel's own check of the patches runs with. */
export const CHECKPATCH_PACKAGES: readonly string[] = [
  "perl",
  "git",
  "python3",
  "python3-ply",
  "python3-git",
];

/** What the steps of the kernels and the VM may install. */
export const ALL_PACKAGES: readonly string[] = [
  ...new Set([...BUILD_PACKAGES, ...VM_PACKAGES, ...PEER_PACKAGES, ...CHECKPATCH_PACKAGES]),
];

/** The packages of a list that are not installed, from the output of `dpkg-query`. */
export function missingPackages(wanted: readonly string[], dpkgOutput: string): string[] {
  const installed = new Set<string>();
  for (const line of dpkgOutput.split("\n")) {
    const [name, status] = line.split("\t");
    if (name && status === "installed") installed.add(name);
  }
  return wanted.filter((name) => !installed.has(name));
}

/**
 * Sees to it that packages are installed: by `apt-get` on Debian with root, else by asking for them.
 *
 * @param wanted names of Debian packages
 * @param say tells the user what is being done
 * @throws StasisError `unsupported`, naming the packages and the command, where it cannot install
 */
export async function ensurePackages(
  wanted: readonly string[],
  say: (text: string) => void,
): Promise<void> {
  const query = ["dpkg-query", "-W", "-f", "${Package}\t${db:Status-Status}\n", ...wanted];
  // dpkg-query fails if it does not know one of the names, and still lists the others.
  const output = await new Deno.Command("sh", {
    args: ["-c", '"$@" 2>/dev/null || :', "sh", ...query],
    stdin: "null",
  }).output();
  const missing = missingPackages(wanted, new TextDecoder().decode(output.stdout));
  if (missing.length === 0) return;

  const command = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  const isDebian = await tryRun(["apt-get", "--version"]) !== undefined;
  if (!isDebian || Deno.uid() !== 0) {
    throw new StasisError("unsupported", `these packages are needed: ${missing.join(", ")}`, {
      hint: isDebian
        ? `run as root: ${command}`
        : "install what they are called on this system; the names are Debian's",
    });
  }
  say(`installing ${missing.join(" ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const install = ["apt-get", "install", "-y", "--no-install-recommends", ...missing];
  try {
    await run(install, { env });
  } catch {
    // The lists of a fresh machine are empty or old.
    await run(["apt-get", "update"], { env });
    await run(install, { env });
  }
}

/** The version of a package: the installed one, else the one that would be installed. */
export async function packageVersion(name: string): Promise<string> {
  const installed = await tryRun(["dpkg-query", "-W", "-f", "${Version}", name]);
  if (installed) return installed;
  const candidate = await candidateVersion(name);
  if (candidate !== undefined) return candidate;
  // The lists of a fresh machine are empty.
  if (Deno.uid() === 0) await tryRun(["apt-get", "update"]);
  return await candidateVersion(name) ?? "unknown";
}

async function candidateVersion(name: string): Promise<string | undefined> {
  const policy = await tryRun(["apt-cache", "policy", name]) ?? "";
  const version = /Candidate: (\S+)/.exec(policy)?.[1];
  return version === "(none)" ? undefined : version;
}
