import { deepEqual, equal } from "@std/assert";
import { filesBeingWritten, grownFiles, LengthsBefore } from "./new_files.ts";

Deno.test("LengthsBefore knows what the command line names, and what came to be since", () => {
  const room = Deno.makeTempDirSync({ prefix: "stasis-new-" });
  try {
    const [there, missing, later] = ["there", "missing", "later"].map((name) => `${room}/${name}`);
    Deno.writeTextFileSync(there!, "1234");
    const before = new LengthsBefore(["program", there!, missing!, room, ""]);
    deepEqual(before.missing.filter(({ path }) => path.startsWith(room)), [
      { path: missing, length: 0 },
    ]);
    for (const path of [there!, missing!]) Deno.writeTextFileSync(path, "56", { append: true });
    equal(before.of(there!), 4);
    equal(before.of(missing!), 0);
    equal(before.of(room), undefined);
    deepEqual(
      grownFiles([
        { path: there!, length: 4 },
        { path: missing!, length: 2 },
        { path: later!, length: 0 },
      ]),
      [{ path: there!, length: 4 }],
    );
    const again = new LengthsBefore([there!], [{ path: there!, length: 4 }]);
    equal(again.of(there!), 4);
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
});

Deno.test("filesBeingWritten() finds files that are open for writing, but for some", () => {
  const path = Deno.makeTempFileSync({ prefix: "stasis-new-" });
  try {
    using file = Deno.openSync(path, { write: true });
    using _reading = Deno.openSync(path, { read: true });
    equal(filesBeingWritten(Deno.pid, new Set()).includes(path), true);
    equal(filesBeingWritten(Deno.pid, new Set([path])).includes(path), false);
    equal(file.isTerminal(), false);
  } finally {
    Deno.removeSync(path);
  }
});
