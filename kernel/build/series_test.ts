// SPDX-License-Identifier: MIT
import { deepStrictEqual, rejects, strictEqual } from "@std/assert";
import { join } from "node:path";
import { exists } from "../command.ts";
import { PATCHES_DIR } from "../paths.ts";
import { type Patch, readSeries, switchTree, touchedFiles } from "./series.ts";

const SERIES: Patch[] = [{
  name: "0001-change.patch",
  text: `Subject: x

---
diff --git a/dir/old.txt b/dir/old.txt
--- a/dir/old.txt
+++ b/dir/old.txt
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
diff --git a/dir/new.txt b/dir/new.txt
new file mode 100644
--- /dev/null
+++ b/dir/new.txt
@@ -0,0 +1 @@
+hello
`,
}];

async function makeTree() {
  const top = await Deno.makeTempDir({ prefix: "stasis-series-test-" });
  const tree = join(top, "tree");
  await Deno.mkdir(join(tree, "dir"), { recursive: true });
  await Deno.writeTextFile(join(tree, "dir/old.txt"), "one\ntwo\nthree\n");
  await Deno.writeTextFile(join(tree, "dir/other.txt"), "other\n");
  return {
    tree,
    pristine: join(top, "pristine"),
    read: (file: string) => Deno.readTextFile(join(tree, file)),
    [Symbol.asyncDispose]: () => Deno.remove(top, { recursive: true }),
  };
}

Deno.test("touchedFiles() lists changed and created files once", () => {
  deepStrictEqual(touchedFiles([...SERIES, ...SERIES]), ["dir/new.txt", "dir/old.txt"]);
});

Deno.test("switchTree() applies the series, takes it back, and touches only what differs", async () => {
  await using made = await makeTree();
  const { tree, pristine, read } = made;
  strictEqual(await switchTree(tree, pristine, "plain", SERIES), 0);
  strictEqual(await switchTree(tree, pristine, "series", SERIES), 2);
  strictEqual(await read("dir/old.txt"), "one\nTWO\nthree\n");
  strictEqual(await read("dir/new.txt"), "hello\n");
  strictEqual(await switchTree(tree, pristine, "series", SERIES), 0);
  strictEqual(await switchTree(tree, pristine, "plain", SERIES), 2);
  strictEqual(await read("dir/old.txt"), "one\ntwo\nthree\n");
  strictEqual(await exists(join(tree, "dir/new.txt")), false);
});

Deno.test("switchTree() goes from one version of the series to another", async () => {
  await using made = await makeTree();
  const { tree, pristine, read } = made;
  await switchTree(tree, pristine, "series", SERIES);
  const other = [{ name: "0001-change.patch", text: SERIES[0]!.text.replace("+TWO", "+2") }];
  strictEqual(await switchTree(tree, pristine, "series", other), 1);
  strictEqual(await read("dir/old.txt"), "one\n2\nthree\n");
});

Deno.test("switchTree() refuses a patch that needs fuzz and leaves the tree alone", async () => {
  await using made = await makeTree();
  const { tree, pristine, read } = made;
  const bad = [{ name: "0001-change.patch", text: SERIES[0]!.text.replace(" three", " four") }];
  await rejects(() => switchTree(tree, pristine, "series", bad), /patch/);
  strictEqual(await read("dir/old.txt"), "one\ntwo\nthree\n");
});

Deno.test("readSeries() finds mails in order, each with a subject and a sign-off", async () => {
  const series = await readSeries(PATCHES_DIR);
  strictEqual(series.length, 5);
  for (const [index, { name, text }] of series.entries()) {
    strictEqual(name.slice(0, 5), `000${index + 1}-`);
    strictEqual(text.includes(`\nSubject: [PATCH ${index + 1}/5] `), true);
    strictEqual(/^Signed-off-by: .+ <.+>$/m.test(text), true);
  }
});
