/**
 * The plugins that come with Stasis, in the order in which their hooks run. The core imports none of
 * them: whoever starts an operation hands it a list, and this is the default.
 *
 * Registers come first: they are taken before anything is changed in a thread. Then seccomp and SUD, which must
 * be suspended before anything is injected.
 *
 * @module
 */
import type { Plugin } from "../core/plugin.ts";
import { cgroups } from "./cgroups/mod.ts";
import { clocks } from "./clocks/mod.ts";
import { credentials } from "./credentials/mod.ts";
import { dnotify } from "./dnotify/mod.ts";
import { epoll } from "./epoll/mod.ts";
import { eventfd } from "./eventfd/mod.ts";
import { external } from "./external/mod.ts";
import { fanotify } from "./fanotify/mod.ts";
import { files } from "./files/mod.ts";
import { inet } from "./inet/mod.ts";
import { inotify } from "./inotify/mod.ts";
import { locks } from "./locks/mod.ts";
import { memory, ownMemory } from "./memory/mod.ts";
import { mqueue } from "./mqueue/mod.ts";
import { namespaces } from "./namespaces/mod.ts";
import { netlink } from "./netlink/mod.ts";
import { packet } from "./packet/mod.ts";
import { pidfd } from "./pidfd/mod.ts";
import { pipes } from "./pipes/mod.ts";
import { registers } from "./registers/mod.ts";
import { seccomp } from "./seccomp/mod.ts";
import { signalfd } from "./signalfd/mod.ts";
import { signals } from "./signals/mod.ts";
import { sud } from "./sud/mod.ts";
import { sysv } from "./sysv/mod.ts";
import { task } from "./task/mod.ts";
import { timerfd } from "./timerfd/mod.ts";
import { timers } from "./timers/mod.ts";
import { tty } from "./tty/mod.ts";
import { unix } from "./unix/mod.ts";

/** The built-in plugins. */
export const DEFAULT_PLUGINS: readonly Plugin[] = [
  registers,
  seccomp,
  sud,
  cgroups,
  memory,
  files,
  pipes,
  unix,
  inet,
  netlink,
  packet,
  external,
  tty,
  eventfd,
  timerfd,
  signalfd,
  pidfd,
  epoll,
  inotify,
  fanotify,
  dnotify,
  sysv,
  mqueue,
  locks,
  namespaces,
  signals,
  timers,
  task,
  credentials,
  clocks,
];

/**
 * Those of them that a warm-up tries on a process of the tool's own. System V objects are left out: they belong to nobody,
 * so that those of others would be looked at, and attached, for a process that has none.
 */
export const WARMED_UP_PLUGINS: readonly Plugin[] = DEFAULT_PLUGINS
  .filter((plugin) => plugin !== sysv)
  .map((plugin) => plugin === memory ? ownMemory : plugin);
