/**
 * What "stasis" is for scripts and plugins where Stasis is installed: the same module, under a name that the bundle
 * keeps.
 *
 * @module
 */
export * from "../mod.ts";
