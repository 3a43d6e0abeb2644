/**
 * A server that echoes what comes by TCP, and whether its packets are held back.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { buildProgram, SUBJECTS_DIR } from "./build.ts";
import { Subject } from "./subject.ts";

const PROGRAM = fileURLToPath(new URL("../live/programs/inet_echo.c", import.meta.url));

/** Starts one; its port is a fact. */
export async function startEcho(): Promise<Subject> {
  return await Subject.run(await buildProgram(PROGRAM, ["-I", SUBJECTS_DIR]));
}

/** The names of this tool's tables that hold back packets of a port. Those of other tests are none of a test's business. */
export function tablesOf(port: number): string[] {
  const { stdout } = new Deno.Command("nft", { args: ["list", "ruleset"] }).outputSync();
  return new TextDecoder().decode(stdout).split(/^table inet /m)
    .filter((text) => text.startsWith("stasis-") && new RegExp(` \\. ${port}\\b`).test(text))
    .map((text) => text.split(" ", 1)[0] as string);
}
