/**
 * The plugins that come with Stasis, in the order in which their hooks run. The core imports none of
 * them: whoever starts an operation hands it a list, and this is the default.
 *
 * @module
 */
import type { Plugin } from "../core/plugin.ts";

/** The built-in plugins. */
export const DEFAULT_PLUGINS: readonly Plugin[] = [];
