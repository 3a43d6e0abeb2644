/**
 * What the plugins that come with Stasis have to say for `stasis check`, without the plugins themselves, which take
 * longer to load than everything else that it does. A test compares the two.
 *
 * @module
 */
import type { Plugin } from "../core/plugin.ts";
import { memoryFeatures } from "./memory/features.ts";
import { registerFeatures } from "./registers/features.ts";
import { seccompFeatures } from "./seccomp/features.ts";
import { sudFeatures } from "./sud/features.ts";
import { timerFeatures } from "./timers/features.ts";
import { unixFeatures } from "./unix/features.ts";

/** Those of the plugins that have something to say, in the order of the plugins. */
export const DEFAULT_CHECKS: readonly Pick<Plugin, "name" | "check">[] = [
  { name: "registers", check: registerFeatures },
  { name: "seccomp", check: seccompFeatures },
  { name: "sud", check: sudFeatures },
  { name: "memory", check: memoryFeatures },
  { name: "unix", check: unixFeatures },
  { name: "timers", check: timerFeatures },
];
