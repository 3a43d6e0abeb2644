import { equal } from "@std/assert";
import { MadeDirectories } from "./made_directories.ts";

Deno.test("MadeDirectories has what is in a directory, however deep", () => {
  const made = new MadeDirectories();
  equal(made.has("/a"), false);
  made.add("/a/b");
  for (const path of ["/a/b", "/a/b/c", "/a/b/c/d"]) equal(made.has(path), true, path);
  for (const path of ["/a", "/a/bc", "/", "/b"]) equal(made.has(path), false, path);
});
