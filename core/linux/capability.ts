/**
 * Capabilities as bits of the sets that `/proc/PID/status` tells (`include/uapi/linux/capability.h`): those that
 * Stasis asks for.
 *
 * @module
 */

/** Each as a bit. */
export const CAP = {
  SETGID: 1n << 6n,
  SETUID: 1n << 7n,
  SETPCAP: 1n << 8n,
  NET_ADMIN: 1n << 12n,
  SYS_PTRACE: 1n << 19n,
  SYS_ADMIN: 1n << 21n,
  SYS_RESOURCE: 1n << 24n,
  SYS_TIME: 1n << 25n,
  CHECKPOINT_RESTORE: 1n << 40n,
} as const;
