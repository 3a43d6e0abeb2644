/**
 * The command `stasis`.
 *
 * @module
 */
import { run } from "./run.ts";

if (import.meta.main) Deno.exit(await run(Deno.args));
