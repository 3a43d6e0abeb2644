/**
 * What `/proc/sys/kernel` says of the running kernel. Source: proc_sys_kernel(5), uname(2).
 *
 * @module
 */

/** A kernel's release, for example `6.1.0-28-amd64` or `6.18.44`. */
export interface KernelRelease {
  readonly major: number;
  readonly minor: number;
  /** 0 where the release has no third number. */
  readonly patch: number;
  readonly text: string;
}

/** Parses a release as uname gives it. @throws {RangeError} if it begins with no two numbers */
export function parseKernelRelease(text: string): KernelRelease {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) throw new RangeError(`no kernel release: ${text}`);
  const [, major, minor, patch] = match;
  return { major: Number(major), minor: Number(minor), patch: Number(patch ?? 0), text };
}

/**
 * Is the kernel this version or later? Distributions take features into older versions, and configurations
 * leave them out: where a feature can be tried, try it.
 */
export function kernelAtLeast(
  release: Pick<KernelRelease, "major" | "minor">,
  major: number,
  minor: number,
): boolean {
  return release.major > major || release.major === major && release.minor >= minor;
}

/** A setting of `/proc/sys/kernel`, trimmed; undefined where this kernel does not have it. */
export function readKernelSetting(name: string): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/sys/kernel/${name}`).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The release of the running kernel. */
export function readKernelRelease(): KernelRelease {
  return parseKernelRelease(readKernelSetting("osrelease") ?? "");
}

/** One more than the largest pid there can be. */
export function readPidMax(): number {
  return Number(readKernelSetting("pid_max"));
}

/** The number of the last capability that this kernel knows. */
export function readLastCapability(): number {
  return Number(readKernelSetting("cap_last_cap"));
}

/**
 * Who may trace whom by Yama (Documentation/admin-guide/LSM/Yama.rst): 0 classic, 1 own descendants, 2
 * CAP_SYS_PTRACE, 3 nobody; undefined without Yama, which is like 0.
 */
export function readPtraceScope(): number | undefined {
  const value = readKernelSetting("yama/ptrace_scope");
  return value === undefined ? undefined : Number(value);
}
