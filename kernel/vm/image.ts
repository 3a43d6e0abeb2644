// SPDX-License-Identifier: MIT
/**
 * The root of the VM: a read-only ext4 image with busybox, the running Deno, CRIU where it is installed,
 * and their libraries, all taken from this machine. It is kept under the hash of what is in it.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { exists, hashOf, run, tryRun } from "../command.ts";
import { REPOSITORY, VM_CACHE } from "../paths.ts";
import { librariesOf } from "./ldd.ts";

const INIT = fileURLToPath(new URL("init.sh", import.meta.url));

/** Programs that are taken along if the machine has them: a peer, a real user of dispatch, what tests use. */
const OPTIONAL_PROGRAMS = ["criu", "stress-ng", "setpriv", "pgrep", "ps"];

/** Where things are mounted; the image has to have the directories. */
const MOUNT_POINTS = [
  ..."dev proc sys tmp run root job share home var/tmp var/deno".split(" "),
  REPOSITORY.slice(1),
];

/** Small files that programs expect. */
const FILES: Readonly<Record<string, string>> = {
  "etc/passwd":
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
  "etc/group": "root:x:0:\nnogroup:x:65534:\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
};

/**
 * A stand-in for the compiler. There is none inside: test subjects are compiled outside, and found by
 * what the compiler there says of itself.
 */
const COMPILER = `#!/bin/sh
[ "$*" = --version ] && exec cat /etc/cc-version
echo "cc: there is no compiler in the VM; compile outside, what is in .cache is seen here" >&2
exit 1
`;

/** One file of the image: where it goes and what it is a copy of. */
interface Member {
  readonly path: string;
  readonly source: string;
}

/** The image, made now or found in the cache. */
export async function ensureImage(): Promise<string> {
  const members = await imageMembers();
  const compiler = await tryRun(["cc", "--version"]) ?? "no compiler\n";
  const init = await Deno.readTextFile(INIT);
  const described = await Promise.all(members.map(async ({ path, source }) => {
    const { size, mtime } = await Deno.stat(source);
    return `${path} ${source} ${size} ${mtime?.getTime()}`;
  }));
  const inputs = [...described, compiler, COMPILER, init, JSON.stringify([MOUNT_POINTS, FILES])];
  const image = join(VM_CACHE, `root-${await hashOf(inputs)}.img`);
  if (await exists(image)) return image;

  await Deno.mkdir(VM_CACHE, { recursive: true });
  const root = await Deno.makeTempDir({ prefix: "stasis-root-" });
  const unfinished = await Deno.makeTempFile({ dir: VM_CACHE, prefix: "unfinished-" });
  try {
    await fillRoot(root, members);
    await write(join(root, "etc/cc-version"), compiler);
    await write(join(root, "usr/bin/cc"), COMPILER, 0o755);
    await write(join(root, "init"), init, 0o755);
    const kilobytes = parseInt(await run(["du", "-sk", root]));
    const size = `${Math.ceil(kilobytes * 1.1) + 8192}k`;
    const options = ["-q", "-F", "-O", "^has_journal", "-m", "0", "-E", "root_owner=0:0"];
    await run(["mkfs.ext4", ...options, "-d", root, unfinished, size], {
      env: { PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin` },
    });
    await removeOldImages();
    await Deno.rename(unfinished, image);
  } finally {
    await Deno.remove(root, { recursive: true });
    await Deno.remove(unfinished).catch(() => {});
  }
  return image;
}

async function imageMembers(): Promise<Member[]> {
  const programs: Member[] = [
    { path: "usr/bin/busybox", source: await which("busybox") ?? "/bin/busybox" },
    { path: "usr/bin/deno", source: Deno.execPath() },
    // Not busybox: scripts are to find the same shells as outside.
    { path: "usr/bin/dash", source: await which("dash") ?? "/bin/dash" },
    { path: "usr/bin/bash", source: await which("bash") ?? "/bin/bash" },
  ];
  for (const name of OPTIONAL_PROGRAMS) {
    const source = await which(name);
    if (source) programs.push({ path: `usr/bin/${name}`, source });
  }
  const libraries = await librariesOf(programs.map(({ source }) => source));
  // /lib and /lib64 are links into /usr, inside as outside.
  const place = (path: string) => path.replace(/^\/(?=lib)/, "usr/").replace(/^\//, "");
  return [...programs, ...libraries.map((source) => ({ path: place(source), source }))];
}

async function fillRoot(root: string, members: readonly Member[]): Promise<void> {
  for (const directory of ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", ...MOUNT_POINTS]) {
    await Deno.mkdir(join(root, directory), { recursive: true });
  }
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    await Deno.symlink(`usr/${name}`, join(root, name));
  }
  for (const { path, source } of members) {
    await Deno.mkdir(dirname(join(root, path)), { recursive: true });
    await Deno.copyFile(source, join(root, path));
  }
  const applets = await run([join(root, "usr/bin/busybox"), "--list"]);
  for (const applet of applets.trim().split("\n")) {
    const path = join(root, "usr/bin", applet);
    if (!await exists(path)) await Deno.symlink(applet === "sh" ? "dash" : "busybox", path);
  }
  for (const [path, text] of Object.entries(FILES)) await write(join(root, path), text);
}

async function write(path: string, text: string, mode = 0o644): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text, { mode });
  await Deno.chmod(path, mode);
}

async function which(name: string): Promise<string | undefined> {
  for (const directory of ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]) {
    const path = join(directory, name);
    if (await exists(path)) return path;
  }
  return undefined;
}

/** Images of other versions that nothing can be using any more. */
async function removeOldImages(): Promise<void> {
  const yesterday = Date.now() - 24 * 3600 * 1000;
  for await (const { name } of Deno.readDir(VM_CACHE)) {
    if (!/^root-.*\.img$|^unfinished-/.test(name)) continue;
    const path = join(VM_CACHE, name);
    const { mtime } = await Deno.stat(path);
    if (mtime && mtime.getTime() < yesterday) await Deno.remove(path);
  }
}
