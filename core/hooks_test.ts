import assert from "@std/assert";
import { StasisError } from "../base/errors.ts";
import { blame, orderPlugins, runHook } from "./hooks.ts";
import { definePlugin, type Plugin } from "./plugin.ts";

const plugin = (name: string, order: Partial<Plugin> = {}): Plugin =>
  definePlugin({ name, description: name, ...order });

const names = (plugins: readonly Plugin[]) => plugins.map(({ name }) => name).join(" ");

Deno.test("orderPlugins() keeps the order as listed where nothing is said", () => {
  assert.equal(names(orderPlugins([plugin("c"), plugin("a"), plugin("b")])), "c a b");
});

Deno.test("orderPlugins() obeys after and before, and ignores names that are not there", () => {
  const ordered = orderPlugins([
    plugin("a", { after: ["c", "absent"] }),
    plugin("b"),
    plugin("c", { before: ["b"] }),
  ]);
  assert.equal(names(ordered), "c a b");
});

Deno.test("orderPlugins() refuses two of one name, and an order that contradicts itself", () => {
  assert.throws(() => orderPlugins([plugin("a"), plugin("a")]), /two plugins have the name "a"/);
  assert.throws(
    () => orderPlugins([plugin("a", { after: ["b"] }), plugin("b", { after: ["a"] })]),
    /contradicts itself/,
  );
});

Deno.test("runHook() names the plugin on what it throws, at once and later", async () => {
  const mine = plugin("mine");
  assert.throws(
    () =>
      runHook(mine, () => {
        throw new TypeError("no");
      }),
    (error: unknown) =>
      error instanceof StasisError && error.plugin === "mine" && error.code === "internal" &&
      error.cause instanceof TypeError,
  );
  await assert.rejects(
    runHook(mine, () => Promise.reject(new StasisError("io", "full", { errno: "ENOSPC" }))),
    (error: unknown) =>
      error instanceof StasisError && error.plugin === "mine" && error.code === "io" &&
      error.errno === "ENOSPC",
  );
});

Deno.test("blame() leaves the plugin that is named already", () => {
  const error = new StasisError("io", "full", { plugin: "inner" });
  assert.equal(blame(plugin("outer"), error), error);
});

Deno.test("definePlugin() refuses names that are no lower-case word", () => {
  for (const name of ["", "Upper", "a b", "1a"]) assert.throws(() => plugin(name), RangeError);
});
