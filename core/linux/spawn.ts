/**
 * Starting a program as a child of this process: as posix_spawn(3) does it, in a process group or a session of its own.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName } from "./errno.ts";
import { posixSpawn, syscall } from "./libc_ffi.ts";
import { SIG, signalBit } from "./signals.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** The size of glibc's posix_spawnattr_t on x86-64 and where its signal set lies (`spawn.h`). */
const ATTRIBUTES = { size: 336, defaultSignals: 8 };
/** `spawn.h`: a process group, here one of its own (0); default actions of signals; a session. */
const SETPGROUP = 0x02, SETSIGDEF = 0x04, SETSID = 0x80;

/** Standard input, output and error are below it. */
const FIRST_OTHER = 3;
const LAST = 0xffff_ffff, CLOSE_RANGE_CLOEXEC = 4;

/** How a program is started. */
export interface SpawnOptions {
  /** Absolute. */
  readonly path: string;
  /** Its words, its own name first. */
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** What it leads. */
  readonly leads: "group" | "session";
}

/**
 * Starts a program. It inherits the working directory, the standard streams and no other descriptor, and the signals
 * that this process ignores, but SIGPIPE: that the runtime ignores.
 *
 * @returns its pid
 * @throws {StasisError} `io` where it cannot be started
 */
export function spawnProgram({ path, words, environment, leads }: SpawnOptions): number {
  // What others have leaked to this process would be a matter of the program's, which knows nothing of it.
  syscall(SYSCALLS.close_range, FIRST_OTHER, LAST, CLOSE_RANGE_CLOEXEC);
  const attributes = new Uint8Array(ATTRIBUTES.size);
  const view = new DataView(attributes.buffer);
  view.setInt16(0, SETSIGDEF | (leads === "group" ? SETPGROUP : SETSID), true);
  view.setBigUint64(ATTRIBUTES.defaultSignals, signalBit(SIG.PIPE), true);
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const pid = posixSpawn(path, words, variables, attributes);
  if (pid >= 0) return pid;
  const errno = errnoName(BigInt(-pid));
  throw new StasisError("io", `${path} cannot be started: ${errno}`, { errno });
}
