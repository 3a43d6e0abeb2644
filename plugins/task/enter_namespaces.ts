/**
 * What a person can type to run the tool in namespaces of a process, by nsenter(1) of util-linux.
 *
 * @module
 */
import type { NamespaceName } from "../../core/linux/procfs/mod.ts";

/** The options of nsenter(1) by the type of a namespace. */
const ENTER: Readonly<Record<string, string>> = {
  cgroup: "--cgroup",
  ipc: "--ipc",
  mnt: "--mount",
  net: "--net",
  pid: "--pid",
  time: "--time",
  // Groups of the user may not be changed in a namespace that an ordinary user has made; nsenter(1) would try.
  user: "--user --preserve-credentials",
  uts: "--uts",
};

/** A process in other namespaces than the tool's. */
export interface Inside {
  readonly pid: number;
  /** What it is called in its own pid namespace. */
  readonly inner: number;
  /** The namespaces that differ. */
  readonly names: readonly NamespaceName[];
  /** Whether the `/proc` that is mounted there is of another pid namespace. */
  readonly strangeProc: boolean;
}

/** Whether a tool that goes into the namespaces of a process has those that its children are born into, too. */
export function canBeEntered(names: readonly NamespaceName[]): boolean {
  return names.every((name) =>
    !name.endsWith("_for_children") || names.includes(name.replace("_for_children", "") as "pid")
  );
}

/** The command line that checkpoints it from inside. */
export function enterCommand({ pid, inner, names, strangeProc }: Inside): string {
  const flags = names.filter((name) => !name.endsWith("_for_children")).map((name) => ENTER[name]);
  const words = ["stasis", "checkpoint", inner];
  // The init of a namespace cannot be ended from inside.
  if (inner === 1) words.push("--leave-running");
  // Who changes the mount namespace stands in its root directory.
  if (names.includes("mnt")) words.push("-D", `"$PWD/stasis-${inner}"`);
  const command = words.join(" ");
  const inside = strangeProc
    ? `sh -c "mount -t proc proc /proc && ${command.replaceAll('"', "'")}"`
    : command;
  return `nsenter --target ${pid} ${flags.join(" ")} ${inside}`;
}
