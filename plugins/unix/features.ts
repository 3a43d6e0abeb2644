/**
 * What this kernel and this user can do about unix sockets.
 *
 * @module
 */
import { readStatus } from "../../core/linux/procfs/mod.ts";
import { readUnixSockets } from "../../core/linux/net/sock_diag.ts";
import type { Feature } from "../../core/plugin.ts";

const CAP_NET_ADMIN = 12n;

/** Whether this process has CAP_NET_ADMIN. */
export function hasNetAdmin(): boolean {
  return (readStatus(Deno.pid).caps.effective >> CAP_NET_ADMIN & 1n) === 1n;
}

/** The lines of `stasis check`. */
export function unixFeatures(): readonly Feature[] {
  return [{
    name: "sock_diag of unix sockets",
    available: listsSockets(),
    required: false,
    note: "saving programs with unix sockets (CONFIG_UNIX_DIAG)",
  }, {
    name: "CAP_NET_ADMIN",
    available: hasNetAdmin(),
    required: false,
    note: "unix sockets bound to a path, and with large buffers",
  }];
}

function listsSockets(): boolean {
  try {
    readUnixSockets();
    return true;
  } catch {
    return false;
  }
}
