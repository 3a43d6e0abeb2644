/**
 * The version of Stasis.
 *
 * @module
 */
import config from "../deno.json" with { type: "json" };

/** As it stands in `deno.json`. */
export const VERSION: string = config.version;
