import { deepEqual, equal } from "@std/assert";
import { declarationName, type Modules, relocate, resolveModule } from "./declarations.ts";

const modules: Modules = {
  checkout: "/src",
  sources: new Set(["/src/mod.ts", "/src/core/task.ts", "/src/base/errors.ts"]),
  packages: new Map([["@a/b", {
    directory: "/cache/@a/b/1.0.0",
    exports: { ".": "./esm/index.js", "./wire": "./esm/wire/index.js" },
  }]]),
};

Deno.test("resolveModule() finds modules of the checkout and of packages, and no others", () => {
  const from = (specifier: string) => resolveModule(specifier, "/src/core/task.ts", modules);
  equal(from("../base/errors.ts"), "/src/base/errors.ts");
  equal(from("file:///src/mod.ts"), "/src/mod.ts");
  equal(from("./gone.ts"), undefined);
  equal(from("@a/b"), "/cache/@a/b/1.0.0/esm/index.js");
  equal(from("@a/b/wire"), "/cache/@a/b/1.0.0/esm/wire/index.js");
  equal(from("@a/b/none"), undefined);
  equal(from("file:///cache/@a/b/1.0.0/esm/x.d.ts"), "/cache/@a/b/1.0.0/esm/x.d.ts");
  equal(from("node:path"), undefined);
});

Deno.test("declarationName() names declarations below one directory", () => {
  equal(declarationName("/src/core/task.ts", modules), "core/task.d.ts");
  equal(declarationName("/cache/@a/b/1.0.0/esm/x.d.ts", modules), "npm/@a/b/esm/x.d.ts");
  equal(declarationName("/cache/@a/b/1.0.0/esm/x.js", modules), "npm/@a/b/esm/x.d.ts");
});

Deno.test("relocate() leads imports of every form to declarations", () => {
  const text = `import { A } from "../base/errors.ts";
export type { M } from "@a/b";
export declare const c: import("file:///src/mod.ts").C;
import { join } from "node:path";`;
  const moved = relocate(text, "/src/core/task.ts", modules);
  equal(
    moved.text,
    `import { A } from "../base/errors.d.ts";
export type { M } from "../npm/@a/b/esm/index.d.ts";
export declare const c: import("../mod.d.ts").C;
import { join } from "node:path";`,
  );
  deepEqual([...moved.imports].sort(), [
    "/cache/@a/b/1.0.0/esm/index.js",
    "/src/base/errors.ts",
    "/src/mod.ts",
  ]);
});
