import assert from "@std/assert";
import { hasColour, paint } from "./colour.ts";

const stream = (terminal: boolean) => ({ isTerminal: () => terminal });
const env = (values: Record<string, string>) => (name: string) => values[name];

Deno.test("hasColour() colours terminals, and minds NO_COLOR and FORCE_COLOR", () => {
  assert.equal(hasColour(stream(true), env({})), true);
  assert.equal(hasColour(stream(false), env({})), false);
  assert.equal(hasColour(stream(true), env({ NO_COLOR: "1" })), false);
  assert.equal(hasColour(stream(true), env({ NO_COLOR: "" })), true);
  assert.equal(hasColour(stream(true), env({ TERM: "dumb" })), false);
  assert.equal(hasColour(stream(false), env({ FORCE_COLOR: "1" })), true);
  assert.equal(hasColour(stream(true), env({ FORCE_COLOR: "1", NO_COLOR: "1" })), false);
});

Deno.test("paint() leaves text alone without colour", () => {
  assert.equal(paint("red", "x", false), "x");
  assert.equal(paint("red", "x", true), "\x1b[31mx\x1b[39m");
});
