/**
 * What this kernel and this user can do about unix sockets.
 *
 * @module
 */
import { CAP } from "../../core/linux/capability.ts";
import { readStatus } from "../../core/linux/procfs/mod.ts";
import { readUnixSockets } from "../../core/linux/net/sock_diag.ts";
import type { Feature } from "../../core/plugin.ts";

/** The lines of `stasis check`. */
export function unixFeatures(): readonly Feature[] {
  return [{
    name: "sock_diag of unix sockets",
    available: listsSockets(),
    required: false,
    note: "saving programs with unix sockets (CONFIG_UNIX_DIAG)",
  }, {
    name: "CAP_NET_ADMIN",
    available: (readStatus(Deno.pid).caps.effective & CAP.NET_ADMIN) !== 0n,
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
