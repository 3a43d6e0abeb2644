// SPDX-License-Identifier: MIT
/**
 * QEMU's command line.
 *
 * @module
 */

/** How the guest's instructions are executed: by the processor, or translated. */
export type Accelerator = "kvm" | "tcg";

/** A machine to be booted. Paths are the host's. */
export interface Machine {
  readonly accelerator: Accelerator;
  readonly vmlinux: string;
  /** The root file system, not written to. */
  readonly image: string;
  /** A raw disk that is written to, if any. */
  readonly disk: string | undefined;
  /** In MiB. */
  readonly memory: number;
  readonly processors: number;
  /** Gets what the kernel writes to its console. */
  readonly consoleLog: string;
  /** Directories of the host by mount tag. */
  readonly shares: readonly Share[];
}

/** A directory that the guest can mount. */
export interface Share {
  readonly tag: string;
  readonly path: string;
  readonly writable: boolean;
}

/** Names of the virtio ports; `init.sh` looks for them. */
const STDOUT_PORT = "stasis.out";
const STDERR_PORT = "stasis.err";

/**
 * The arguments for `qemu-system-x86_64`.
 *
 * The guest's standard output and error come out as QEMU's own, byte for byte, through virtio ports. The
 * machine is `pc`, because `microvm` hangs with this kernel, and has ACPI, without which it never powers
 * off. A reboot or a panic ends QEMU.
 */
export function qemuArguments(machine: Machine, isRoot: boolean): string[] {
  const commandLine = "root=/dev/vda ro init=/init console=ttyS0 panic=-1 quiet";
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-machine", "pc", "-accel", machine.accelerator],
    ...["-cpu", machine.accelerator === "kvm" ? "host" : "max"],
    ...["-smp", `${machine.processors}`, "-m", `${machine.memory}M`],
    ...["-kernel", machine.vmlinux, "-append", commandLine],
    ...["-drive", `if=virtio,format=raw,readonly=on,file=${escapeComma(machine.image)}`],
    ...machine.disk === undefined ? [] : ["-drive", writtenDrive(machine.disk)],
    ...["-device", "virtio-rng-pci", "-device", "pvpanic-pci", "-action", "panic=exit-failure"],
    ...["-serial", `file:${machine.consoleLog}`],
    ...["-device", "virtio-serial-pci"],
    // Files, because stdio counts as hung up at the end of stdin; and appending, because QEMU would
    // truncate a file that its output is redirected to.
    ...["-chardev", "file,id=out,path=/dev/stdout,append=on"],
    ...["-device", `virtserialport,chardev=out,name=${STDOUT_PORT}`],
    ...["-chardev", "file,id=err,path=/dev/stderr,append=on"],
    ...["-device", `virtserialport,chardev=err,name=${STDERR_PORT}`],
    ...machine.shares.flatMap((share) => ["-virtfs", virtfs(share, isRoot)]),
  ];
}

/**
 * A disk that has what the guest has written to it, also when QEMU is killed, and nothing of what the guest's kernel
 * still had in memory.
 */
function writtenDrive(path: string): string {
  return `if=virtio,format=raw,cache=writeback,file=${escapeComma(path)}`;
}

/** With root, files keep their owners; without, owners are kept in extended attributes. */
function virtfs({ tag, path, writable }: Share, isRoot: boolean): string {
  const model = isRoot ? "passthrough" : writable ? "mapped-xattr" : "none";
  const access = writable ? "" : ",readonly=on";
  return `local,path=${
    escapeComma(path)
  },mount_tag=${tag},security_model=${model},multidevs=remap${access}`;
}

/** QEMU's option syntax: a comma is doubled. */
function escapeComma(path: string): string {
  return path.replaceAll(",", ",,");
}
