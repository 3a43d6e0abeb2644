import assert from "@std/assert";
import { chooseFiles, filesWithExamples, stepOf, testFiles } from "./files.ts";

const FILES = ["core/a_test.ts", "core/linux/b_test.ts", "images/c_test.ts"];

Deno.test("stepOf() tells by the path what a test needs", () => {
  assert.equal(stepOf("core/a_test.ts"), "unit");
  assert.equal(stepOf("tests/live/a_test.ts"), "live");
  assert.equal(stepOf("tests/harness/a_test.ts"), "live");
  assert.equal(stepOf("kernel/live/a.ts"), "vm");
  assert.equal(stepOf("kernel/a_test.ts"), "unit");
});

Deno.test("chooseFiles() takes paths and one filter", () => {
  assert.deepEqual(chooseFiles(FILES, []), { files: FILES, filter: undefined });
  assert.deepEqual(chooseFiles(FILES, ["./core/"]).files, FILES.slice(0, 2));
  assert.deepEqual(chooseFiles(FILES, ["images/c_test.ts", "name"]), {
    files: [FILES[2]],
    filter: "name",
  });
  assert.throws(() => chooseFiles(FILES, ["one", "two"]), RangeError);
});

Deno.test("filesWithExamples() and testFiles() find what is to be run", async () => {
  const root = `${await Deno.makeTempDir({ prefix: "stasis-files-" })}/`;
  try {
    const fence = "```";
    await Deno.mkdir(`${root}docs`);
    await Deno.mkdir(`${root}.cache`);
    await Deno.writeTextFile(`${root}a.ts`, `/**\n * ${fence}ts\n * 1;\n * ${fence}\n */`);
    await Deno.writeTextFile(`${root}b.ts`, `/**\n * ${fence}ts ignore\n * 1;\n * ${fence}\n */`);
    await Deno.writeTextFile(`${root}a_test.ts`, `/**\n * ${fence}ts\n * ${fence}\n */`);
    await Deno.writeTextFile(`${root}.cache/c_test.ts`, "");
    await Deno.mkdir(`${root}kernel/live`, { recursive: true });
    await Deno.writeTextFile(`${root}kernel/live/boots.ts`, 'Deno.test("x", () => {});');
    await Deno.writeTextFile(`${root}kernel/live/shared.ts`, "export const x = 1;");
    await Deno.writeTextFile(`${root}docs/d.md`, `${fence}ts\n${fence}\n`);
    assert.deepEqual(await filesWithExamples(root, "unit"), ["a.ts"]);
    assert.deepEqual(await filesWithExamples(root, "live"), ["docs/d.md"]);
    assert.deepEqual(await testFiles(root, "unit"), ["a_test.ts"]);
    assert.deepEqual(await testFiles(root, "vm"), ["kernel/live/boots.ts"]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
