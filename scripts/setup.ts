/**
 * `deno task setup`: makes a machine ready for the demo and the tests. On Debian with root it installs what is
 * missing; elsewhere it says what to install. When nothing is missing it does nothing.
 *
 *     deno task setup [demo|test|vm]      (all of it where no group is named)
 *
 * @module
 */

import { StasisError } from "../base/errors.ts";
import { ensureTools } from "./setup/ensure.ts";
import { DEMO_TOOLS, TEST_TOOLS, type Tool, VM_TOOLS } from "./setup/tools.ts";

const GROUPS: Readonly<Record<string, readonly Tool[]>> = {
  demo: DEMO_TOOLS,
  test: TEST_TOOLS,
  vm: VM_TOOLS,
};

if (import.meta.main) {
  const names = Deno.args.length > 0 ? Deno.args : Object.keys(GROUPS);
  const unknown = names.find((name) => !(name in GROUPS));
  if (unknown !== undefined) {
    console.error(
      `setup: there is no group ${unknown}; there are ${Object.keys(GROUPS).join(", ")}`,
    );
    Deno.exit(2);
  }
  try {
    const tools = [...new Set(names.flatMap((name) => GROUPS[name]!))];
    const installed = await ensureTools(tools, (text) => console.log(`setup: ${text}`));
    console.log(installed ? "setup: ready" : "setup: nothing is missing");
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
    console.error(`setup: ${error.message}${error.hint ? `\nhint: ${error.hint}` : ""}`);
    Deno.exit(error.exitStatus);
  }
}
