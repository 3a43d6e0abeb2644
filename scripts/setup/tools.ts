/**
 * The programs that the tests, the demo and the VM need beside Deno, and where each comes from.
 *
 * @module
 */

/** Something that has to be on the machine. */
export interface Tool {
  /** What it is called in messages. */
  readonly name: string;
  /**
   * It is there if all of these files are, or, where a name has no slash, if such a command is on the PATH; of names
   * with bars between them any.
   */
  readonly files: readonly string[];
  /** Debian's packages that bring it. */
  readonly debian: readonly string[];
  /** What it is for. */
  readonly why: string;
  /** Its packages start a service where they are installed: they are only unpacked (`unpacked.ts`). */
  readonly isService?: true;
}

/** What the demo needs: a compiler for the emulator. */
export const DEMO_TOOLS: readonly Tool[] = [
  {
    name: "C compiler and headers",
    files: ["cc", "/usr/include/stdio.h", "/usr/include/linux/prctl.h"],
    debian: ["gcc", "libc6-dev"],
    why: "builds the demo's emulator and the test subjects",
  },
];

const QEMU: Tool = {
  name: "QEMU",
  files: ["qemu-system-x86_64"],
  debian: ["qemu-system-x86"],
  why: "boots the kernels under test, and is checkpointed: it uses seccomp",
};

/** The commands of browsers that the tests can drive, on Debian and elsewhere. */
export const BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser"] as const;

/** What the live tests need. */
export const TEST_TOOLS: readonly Tool[] = [
  ...DEMO_TOOLS,
  {
    name: "bash",
    files: ["bash"],
    debian: ["bash"],
    why: "is checkpointed, and starts the subjects",
  },
  { name: "zsh", files: ["zsh"], debian: ["zsh"], why: "completes the commands of stasis" },
  { name: "fish", files: ["fish"], debian: ["fish"], why: "completes the commands of stasis" },
  { name: "perl", files: ["perl"], debian: ["perl"], why: "is checkpointed" },
  { name: "python3", files: ["python3"], debian: ["python3"], why: "is checkpointed" },
  {
    name: "numpy",
    files: ["/usr/lib/python3/dist-packages/numpy/__init__.py"],
    debian: ["python3-numpy"],
    why: "is what the guide's example of a job computes with",
  },
  {
    name: "sqlite3",
    files: ["sqlite3"],
    debian: ["sqlite3"],
    why: "is checkpointed: it locks files",
  },
  {
    name: "restic",
    files: ["restic"],
    debian: ["restic"],
    why: "is checkpointed: it locks a repository",
  },
  {
    name: "anacron",
    files: ["anacron"],
    debian: ["anacron"],
    why: "is checkpointed: it locks the time stamps of its jobs",
    isService: true,
  },
  {
    name: "cron",
    files: ["cron"],
    debian: ["cron"],
    why: "is checkpointed: it locks the file of its process id",
    isService: true,
  },
  {
    name: "inotifywait",
    files: ["inotifywait"],
    debian: ["inotify-tools"],
    why: "is checkpointed: it watches a directory",
  },
  { name: "node", files: ["node"], debian: ["nodejs"], why: "is checkpointed" },
  {
    name: "stress-ng",
    files: ["stress-ng"],
    debian: ["stress-ng"],
    why: "is checkpointed: it uses Syscall User Dispatch and seccomp",
  },
  { name: "man", files: ["man"], debian: ["man-db"], why: "is checkpointed: it uses seccomp" },
  QEMU,
  {
    name: "bubblewrap",
    files: ["bwrap"],
    debian: ["bubblewrap"],
    why: "puts programs into a sandbox",
  },
  {
    name: "firejail",
    files: ["firejail"],
    debian: ["firejail"],
    why: "puts programs into a sandbox",
  },
  {
    name: "systemd-analyze",
    files: ["systemd-analyze"],
    debian: ["systemd"],
    why: "tells which system calls a sandbox allows",
  },
  {
    name: "32-bit C compiler and library",
    files: ["/usr/include/x86_64-linux-gnu/gnu/stubs-32.h", "/usr/lib32/libc.so.6"],
    debian: ["gcc-multilib"],
    why: "builds a 32-bit program, which must be refused",
  },
  {
    name: "strace",
    files: ["strace"],
    debian: ["strace"],
    why: "has single system calls of the tool fail",
  },
  {
    name: "redis",
    files: ["redis-server"],
    debian: ["redis-server"],
    why: "is checkpointed: it serves over TCP",
    isService: true,
  },
  {
    name: "nginx",
    files: ["nginx"],
    debian: ["nginx-light"],
    why: "is checkpointed: it serves over TCP",
    isService: true,
  },
  {
    name: "caddy",
    files: ["caddy"],
    debian: ["caddy"],
    why: "is checkpointed: it serves over TCP and UDP",
    isService: true,
  },
  {
    name: "dnsmasq",
    files: ["dnsmasq"],
    // Without the service.
    debian: ["dnsmasq-base"],
    why: "is checkpointed: it serves over UDP",
  },
  { name: "socat", files: ["socat"], debian: ["socat"], why: "is checkpointed: it relays" },
  {
    name: "ssh-agent",
    files: ["ssh-agent", "ssh-add", "ssh-keygen"],
    debian: ["openssh-client"],
    why: "is checkpointed: it keeps keys in locked memory, behind a unix socket",
  },
  {
    name: "openssl",
    files: ["openssl"],
    debian: ["openssl"],
    why: "makes a certificate for a server of TLS that is checkpointed",
  },
  { name: "curl", files: ["curl"], debian: ["curl"], why: "is checkpointed: it downloads" },
  { name: "nft", files: ["nft"], debian: ["nftables"], why: "tells which packets are held back" },
  { name: "tmux", files: ["tmux"], debian: ["tmux"], why: "is checkpointed: it makes terminals" },
  {
    name: "script",
    files: ["script"],
    debian: ["bsdutils"],
    why: "gives programs a terminal, and is checkpointed",
  },
  { name: "less", files: ["less"], debian: ["less"], why: "is checkpointed in a terminal" },
  { name: "vim", files: ["vim"], debian: ["vim"], why: "is checkpointed in a terminal" },
  { name: "top", files: ["top"], debian: ["procps"], why: "is checkpointed in a terminal" },
  {
    name: "go",
    files: ["go"],
    debian: ["golang-go"],
    why: "builds programs that are checkpointed, and one for core files",
  },
  { name: "gdb", files: ["gdb"], debian: ["gdb-minimal"], why: "opens core files, as a witness" },
  {
    name: "Chromium",
    files: [BROWSERS.join("|")],
    debian: ["chromium-headless-shell"],
    why: "opens the page of a checkpoint",
  },
  { name: "crit", files: ["crit"], debian: ["criu"], why: "decodes the images, as a witness" },
  {
    name: "git",
    files: ["git"],
    debian: ["git"],
    why: "tells which files are new after the tests",
  },
];

/** What booting a VM needs; `kernel/` installs what building a kernel needs beyond it. */
export const VM_TOOLS: readonly Tool[] = [
  QEMU,
  {
    name: "static busybox",
    files: ["busybox"],
    debian: ["busybox-static"],
    why: "is the VM's userland",
  },
  {
    name: "mkfs.ext4",
    files: ["/sbin/mkfs.ext4"],
    debian: ["e2fsprogs"],
    why: "makes the VM's disk",
  },
];

/** Package managers of other families, with the names of Debian's packages there; `null`: already part of another. */
const FAMILIES: readonly {
  readonly command: string;
  readonly install: string;
  readonly names: Readonly<Record<string, string | null>>;
}[] = [
  {
    command: "dnf",
    install: "dnf install",
    names: {
      "libc6-dev": "glibc-devel",
      "gdb-minimal": "gdb",
      "golang-go": "golang",
      "chromium-headless-shell": "chromium",
      "dnsmasq-base": "dnsmasq",
      "openssh-client": "openssh-clients",
      criu: "criu crit",
      "qemu-system-x86": "qemu-system-x86-core",
      "busybox-static": "busybox",
      e2fsprogs: "e2fsprogs",
      bsdutils: "util-linux-script",
      vim: "vim-enhanced",
      procps: "procps-ng",
    },
  },
  {
    command: "pacman",
    install: "pacman -S",
    names: {
      "libc6-dev": "linux-api-headers",
      "gdb-minimal": "gdb",
      "golang-go": "go",
      "chromium-headless-shell": "chromium",
      "dnsmasq-base": "dnsmasq",
      "openssh-client": "openssh",
      python3: "python",
      "python3-numpy": "python-numpy",
      "qemu-system-x86": "qemu-system-x86",
      "busybox-static": "busybox",
      bsdutils: "util-linux",
      procps: "procps-ng",
    },
  },
  {
    command: "zypper",
    install: "zypper install",
    names: {
      "libc6-dev": "glibc-devel",
      "gdb-minimal": "gdb",
      "golang-go": "go",
      "chromium-headless-shell": "chromium",
      "dnsmasq-base": "dnsmasq",
      "openssh-client": "openssh-clients",
      nodejs: "nodejs",
      "qemu-system-x86": "qemu-x86",
      "busybox-static": "busybox-static",
      bsdutils: "util-linux",
    },
  },
];

/**
 * The tools of a list that are not there.
 *
 * @param exists says whether a file exists and may be used
 * @param path the directories of the PATH
 */
export function missingTools(
  tools: readonly Tool[],
  path: readonly string[],
  exists: (file: string) => boolean,
): Tool[] {
  const there = (file: string) =>
    file.includes("/") ? exists(file) : path.some((directory) => exists(`${directory}/${file}`));
  return tools.filter((tool) => !tool.files.every((names) => names.split("|").some(there)));
}

/** The packages of some tools, each once, as Debian calls them. */
export function packagesOf(tools: readonly Tool[]): string[] {
  return [...new Set(tools.flatMap((tool) => tool.debian))];
}

/**
 * The command that installs packages on a machine that is not Debian.
 *
 * @param packages Debian's names
 * @param has says whether a command is on the PATH
 * @returns the command for a package manager that is known and there, else undefined
 */
export function installCommand(
  packages: readonly string[],
  has: (command: string) => boolean,
): string | undefined {
  const family = FAMILIES.find((family) => has(family.command));
  if (family === undefined) return undefined;
  const names = packages.map((name) => name in family.names ? family.names[name] : name);
  return `${family.install} ${names.filter((name) => name !== null).join(" ")}`;
}
