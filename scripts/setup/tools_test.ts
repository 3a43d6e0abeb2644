import assert from "@std/assert";
import { installCommand, missingTools, packagesOf, TEST_TOOLS, type Tool } from "./tools.ts";

const TOOLS: readonly Tool[] = [
  { name: "compiler", files: ["cc", "/include/stdio.h"], debian: ["gcc", "libc6-dev"], why: "" },
  { name: "perl", files: ["perl"], debian: ["perl"], why: "" },
  { name: "browser", files: ["one|two"], debian: ["one"], why: "" },
  { name: "other", files: ["other"], debian: ["perl", "other"], why: "" },
];

Deno.test("missingTools() finds commands on the PATH and files by their path", () => {
  const files = new Set(["/a/cc", "/include/stdio.h", "/b/perl", "/b/two"]);
  const missing = (path: string[]) =>
    missingTools(TOOLS, path, (file) => files.has(file)).map((tool) => tool.name);
  assert.deepEqual(missing(["/a", "/b"]), ["other"]);
  assert.deepEqual(missing(["/b"]), ["compiler", "other"]);
  files.delete("/include/stdio.h");
  assert.deepEqual(missing(["/a", "/b"]), ["compiler", "other"]);
});

Deno.test("packagesOf() names each package once", () => {
  assert.deepEqual(packagesOf(TOOLS), ["gcc", "libc6-dev", "perl", "one", "other"]);
});

Deno.test("installCommand() speaks the language of the package manager that is there", () => {
  const packages = packagesOf(TEST_TOOLS.filter((tool) => tool.name !== "git"));
  assert.match(
    installCommand(packages, (command) => command === "dnf")!,
    /^dnf install gcc glibc-devel .* criu crit$/,
  );
  assert.match(
    installCommand(["python3"], (command) => command === "pacman")!,
    /^pacman -S python$/,
  );
  assert.equal(installCommand(packages, () => false), undefined);
});
