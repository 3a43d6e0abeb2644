import { deepEqual } from "@std/assert";
import { absolutePath, lastName, parentPath } from "./path.ts";

Deno.test("absolutePath() begins at the root and has no detours", () => {
  deepEqual(absolutePath("/a//b/./c/../d/"), "/a/b/d");
  deepEqual(absolutePath("/../.."), "/");
  deepEqual(absolutePath("x"), `${Deno.cwd()}/x`);
  deepEqual(absolutePath("."), Deno.cwd());
});

Deno.test("parentPath() and lastName() split a path", () => {
  deepEqual([parentPath("/a/b"), lastName("/a/b")], ["/a", "b"]);
  deepEqual([parentPath("/a"), lastName("/a")], ["/", "a"]);
  deepEqual([parentPath("/"), lastName("/")], ["/", ""]);
});
