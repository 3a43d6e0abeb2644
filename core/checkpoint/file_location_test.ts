import { deepEqual, equal, match } from "@std/assert";
import { findFile } from "./file_location.ts";

/** Runs a test in a fresh directory with a file `name` that is open. */
function withFile(name: string, test: (path: string, behind: string) => void): void {
  const home = Deno.makeTempDirSync({ prefix: "stasis-where-" });
  try {
    const path = `${home}/${name}`;
    using _file = Deno.createSync(path);
    // The newest descriptor that leads there; Deno does not tell numbers.
    const fd = [...Deno.readDirSync("/proc/self/fd")].map((entry) => `/proc/self/fd/${entry.name}`)
      .find((link) => {
        try {
          return Deno.readLinkSync(link) === path;
        } catch {
          return false;
        }
      });
    test(path, fd as string);
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
}

const find = (behind: string) => findFile(behind, Deno.readLinkSync(behind), "it", {});

Deno.test("findFile() takes a path that leads to the file, whatever it ends in", () => {
  for (const name of ["plain", "x (deleted)"]) {
    withFile(name, (path, behind) => deepEqual(find(behind), { path }));
  }
});

Deno.test("findFile() tells a deleted file by its links, and keeps its path", () => {
  withFile("gone", (path, behind) => {
    Deno.removeSync(path);
    deepEqual(find(behind), { path, behind });
    // Another file with the name, or with the kernel's mark in its name, is not it.
    Deno.writeTextFileSync(path, "");
    Deno.writeTextFileSync(`${path} (deleted)`, "");
    deepEqual(find(behind), { path, behind });
  });
});

Deno.test("findFile() looks again where the file was renamed or deleted since its name was read", () => {
  withFile("moved", (path, behind) => {
    const text = Deno.readLinkSync(behind);
    Deno.renameSync(path, `${path}2`);
    Deno.writeTextFileSync(path, "");
    deepEqual(findFile(behind, text, "it", {}), { path: `${path}2` });
    Deno.removeSync(`${path}2`);
    deepEqual(findFile(behind, text, "it", {}), { path: `${path}2`, behind });
  });
});

Deno.test("findFile() finds another name in the same directory, and near it", () => {
  withFile("one", (path, behind) => {
    Deno.linkSync(path, `${path}2`);
    Deno.removeSync(path);
    deepEqual(find(behind), { path: `${path}2` });
    Deno.mkdirSync(`${path}.d`);
    Deno.renameSync(`${path}2`, `${path}.d/two`);
    deepEqual(find(behind), { path: `${path}.d/two` });
  });
});

Deno.test("findFile() refuses a file beyond the limit, and takes it under a larger one", () => {
  withFile("large", (path, behind) => {
    Deno.writeFileSync(path, new Uint8Array(4097).fill(1));
    Deno.removeSync(path);
    const text = Deno.readLinkSync(behind);
    const found = findFile(behind, text, "it", { ghostLimit: 4096n });
    match("problem" in found ? found.problem.hint ?? "" : "", /--ghost-limit 4097/);
    equal("problem" in findFile(behind, text, "it", { ghostLimit: 4097n }), false);
  });
});
