import { deepEqual, match, throws } from "@std/assert";
import { newPlugin } from "./new_plugin.ts";

Deno.test("newPlugin() gives a plugin its name everywhere", () => {
  const files = newPlugin("one-more");
  deepEqual([...files.keys()], ["one-more.ts", "one-more_test.ts"]);
  const plugin = files.get("one-more.ts") ?? "";
  match(plugin, /const DEVICE = "\/dev\/one-more";/);
  match(plugin, /name: "ONE_MORE", file: "one-more\.json"/);
  for (const text of files.values()) deepEqual(text.match(/mydevice/i), null);
});

Deno.test("newPlugin() refuses names that definePlugin() refuses", () => {
  for (const name of ["", "1st", "Mine", "a/b", "../x"]) {
    throws(() => newPlugin(name), { code: "usage" });
  }
});
