/**
 * Options of CRIU's `dump` and `restore`, and commands, that are not here, with what to do instead. Those that are here
 * have the name that CRIU has for them.
 *
 * @module
 */

const NOT_YET = "it may come: docs/support.md says what is saved now";
const NO_SERVICE = "there is no service: use the commands, or the library (docs/scripting.md)";
const NAMESPACES =
  "trees in mount or network namespaces of their own are not saved yet (docs/support.md)";

/** By the option's long name: what its users are told. */
export const CRIU_OPTIONS: Readonly<Record<string, string>> = {
  "address": NO_SERVICE,
  "all": "it is for criu check: stasis check looks at everything",
  "auto-dedup":
    "leave it out: a checkpoint with --parent has nothing that its parent has, and a parent stays whole",
  "cgroup-dump-controller":
    "all controllers are saved; --manage-cgroups says what of them comes back",
  "cgroup-props": "all settings are saved; --manage-cgroups=props or full gives them back",
  "cgroup-props-file": "all settings are saved; --manage-cgroups=props or full gives them back",
  "config": "there are no configuration files: give the options on the command line",
  "cpu-cap": "what the processor must have is found out from the images, and asked for by restore",
  "daemon": NO_SERVICE,
  "deprecated": "no option is deprecated here",
  "display-stats": "give --json, or -v: both tell the times and sizes",
  "empty-ns": NAMESPACES,
  "enable-external-masters": NAMESPACES,
  "enable-external-sharing": NAMESPACES,
  "enable-fs": NAMESPACES,
  "evasive-devices": "name the device with --external, or write a plugin for it (docs/plugins.md)",
  "exec-cmd": "run what is to come next in the shell: restore --detach && COMMAND",
  "ext-mount-map": NAMESPACES,
  "force-irmap": "leave it out: watched files are found by their handles",
  "freeze-cgroup": "leave it out: trees are frozen by ptrace, whatever control group they are in",
  "irmap-scan-path": "leave it out: watched files are found by their handles",
  "join-ns": NAMESPACES,
  "lazy-pages": "memory is always there before the tree runs",
  "libdir": "give plugins with --plugin FILE",
  "log-pid": "give each command a file of its own with -o",
  "lsm-mount-context": NAMESPACES,
  "lsm-profile": NOT_YET,
  "mntns-compat-mode": NAMESPACES,
  "no-default-config": "leave it out: there are no configuration files",
  "page-server": "write to a file system that both machines have, or copy the directory",
  "port": NO_SERVICE,
  "pre-dump-mode": NOT_YET,
  "ps-socket": NO_SERVICE,
  "restore-detached": "it is called --detach here, as -d is",
  "restore-sibling": "the tree is always the child of this command",
  "root": NAMESPACES,
  "skip-mnt": NAMESPACES,
  "stream": "write to a directory: it may lie in memory (/dev/shm)",
  "unprivileged": "leave it out: stasis check says what can be done without root",
  "verbosity": "it is called --verbose here, as -v is",
  "veth-pair": NAMESPACES,
  "weak-sysctls": NAMESPACES,
  "work-dir": "change to that directory first: paths are looked for from there",
};

/** What users of CRIU are told of an option; undefined for one that CRIU does not have, or that is here. */
export function criuAnswer(option: string): string | undefined {
  const name = option.replace(/^--/, "").replace(/=.*$/, "");
  return Object.hasOwn(CRIU_OPTIONS, name) ? CRIU_OPTIONS[name] : undefined;
}

/** The same by the name of a command. */
const CRIU_COMMANDS: Readonly<Record<string, string>> = {
  "cpuinfo": "what the processor must have is found out from the images, and asked for by restore",
  "dedup": "leave it out: a checkpoint with --parent has nothing that its parent has",
  "exec": "calls in a program are made by plugins (docs/plugins.md)",
  "lazy-pages": "memory is always there before the tree runs",
  "page-server": "write to a file system that both machines have, or copy the directory",
  "pre-dump":
    "make a checkpoint with --leave-running, and the next with --parent and its directory",
  "service": NO_SERVICE,
  "show": "stasis inspect DIR shows what is in images, also in CRIU's",
  "swrk": NO_SERVICE,
};

/** What users of CRIU are told of a command; undefined for one that CRIU does not have, or that is here. */
export function criuCommandAnswer(command: string): string | undefined {
  return Object.hasOwn(CRIU_COMMANDS, command) ? CRIU_COMMANDS[command] : undefined;
}
