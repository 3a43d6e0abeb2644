/**
 * The files that scripts and plugins of the user are run with: in the checkout, or beside the files that an installation
 * is bundled into, all in one directory.
 *
 * @module
 */

const isBundle = import.meta.url.endsWith(".js");

function path(inCheckout: string, inBundle: string): string {
  const url = new URL(isBundle ? inBundle : inCheckout, import.meta.url);
  return decodeURIComponent(url.pathname);
}

/** What says what "stasis" is (`imports`). */
export const CONFIG = path("../../deno.json", "./deno.json");

/** Runs before a script. */
export const PRELOAD = path("./preload.ts", "./script/preload.js");
