import { deepEqual } from "@std/assert";
import { DEFAULT_CHECKS } from "./checks.ts";
import { DEFAULT_PLUGINS } from "./default.ts";

Deno.test("DEFAULT_CHECKS are those of the default plugins, in their order", () => {
  const those = DEFAULT_PLUGINS.filter(({ check }) => check !== undefined)
    .map(({ name, check }) => ({ name, check }));
  deepEqual(DEFAULT_CHECKS, those);
});
