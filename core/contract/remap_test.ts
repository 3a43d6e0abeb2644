import { deepEqual, equal } from "@std/assert";
import { remapPath, unmatchedRemaps } from "./remap.ts";

Deno.test("remapPath() moves a name and all that lies below it", () => {
  const options = { remap: { "/a": "/x", "/a/b": "/y/z", "/dir/": "/" } };
  const cases = {
    "/a": "/x",
    "/a/c": "/x/c",
    "/a/b": "/y/z",
    "/a/b/c/d": "/y/z/c/d",
    "/ab": "/ab",
    "/a/bc": "/x/bc",
    "/dir": "/",
    "/dir/e": "/e",
    "/": "/",
  };
  for (const [path, expected] of Object.entries(cases)) equal(remapPath(path, options), expected);
});

Deno.test("remapPath() moves everything for the root, and nothing where nothing is said", () => {
  equal(remapPath("/a/b", { remap: { "/": "/mnt" } }), "/mnt/a/b");
  equal(remapPath("/", { remap: { "/": "/mnt" } }), "/mnt/");
  equal(remapPath("/a/b", {}), "/a/b");
});

Deno.test("unmatchedRemaps() are those that no path was below", () => {
  const options = { remap: { "/a": "/x", "/a/b": "/y", "/typo": "/z" } };
  remapPath("/a/b/c", options);
  deepEqual(unmatchedRemaps(options), ["/typo"]);
  deepEqual(unmatchedRemaps({}), []);
});
