import assert from "@std/assert";
import { StasisError } from "../base/errors.ts";
import {
  either,
  loadPlugins,
  parseCgroupRoots,
  parseInheritFds,
  parseManageCgroups,
  parsePid,
  parseRemaps,
  parseSize,
} from "./options.ts";

const usage = (error: unknown) => error instanceof StasisError && error.code === "usage";

Deno.test("parsePid() takes process ids alone", () => {
  assert.equal(parsePid("1234"), 1234);
  for (const bad of ["0", "-1", "1.5", "", "12a", "2147483648", "99999999999"]) {
    assert.throws(() => parsePid(bad), usage, bad);
  }
});

Deno.test("parseInheritFds() reads CRIU's way to write it", () => {
  assert.deepEqual(parseInheritFds(["fd[1]:pipe:[5]", "fd[0]:tty[8803:1b]"]), {
    "pipe:[5]": 1,
    "tty[8803:1b]": 0,
  });
  for (const bad of [["1:pipe:[5]"], ["fd[x]:y"], ["fd[1]:"], ["fd[1]:a", "fd[2]:a"]]) {
    assert.throws(() => parseInheritFds(bad), usage, bad.join(" "));
  }
});

Deno.test("parseRemaps() takes pairs of absolute paths", () => {
  assert.deepEqual(parseRemaps(["/a=/b", "/c d=/e"]), { "/a": "/b", "/c d": "/e" });
  assert.deepEqual(parseRemaps(["//a//b/=/c", "/d=e=/f=g", "/=/"]), {
    "/a/b": "/c",
    "/d=e": "/f=g",
    "/": "/",
  });
  for (
    const bad of [["a=/b"], ["/a"], ["/a="], ["/a=/b=/c"], ["/a=/b", "/a/=/c"], ["/a/../b=/c"]]
  ) {
    assert.throws(() => parseRemaps(bad), usage, bad.join(" "));
  }
});

Deno.test("either() refuses two different values", () => {
  assert.equal(either("it", "a", undefined), "a");
  assert.equal(either("it", undefined, "b"), "b");
  assert.equal(either("it", "a", "a"), "a");
  assert.equal(either("it", undefined, undefined), undefined);
  assert.throws(() => either("it", "a", "b"), usage);
});

Deno.test("loadPlugins() takes one plugin or a list, and names a file that has none", async () => {
  const directory = await Deno.makeTempDir({ prefix: "stasis-plugins #" });
  try {
    const one = `{ name: "one", description: "first" }`;
    await Deno.writeTextFile(`${directory}/one.ts`, `export default ${one};`);
    await Deno.writeTextFile(`${directory}/two.ts`, `export default [${one}, ${one}];`);
    await Deno.writeTextFile(`${directory}/none.ts`, `export const plugin = ${one};`);
    await Deno.writeTextFile(`${directory}/bad.ts`, `throw new Error("no luck");`);
    const load = (...names: string[]) =>
      loadPlugins(names.map((name) => `${directory}/${name}.ts`));
    assert.deepEqual((await load("one", "two")).map(({ name }) => name), ["one", "one", "one"]);
    await assert.rejects(load("none"), /none\.ts exports no plugin/);
    await assert.rejects(load("bad"), /no luck/);
    await assert.rejects(load("missing"), usage);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("parseManageCgroups() knows CRIU's modes", () => {
  assert.equal(parseManageCgroups("full"), "full");
  assert.equal(parseManageCgroups(undefined), undefined);
  for (const wrong of ["", "Full", "all"]) {
    assert.throws(() => parseManageCgroups(wrong), usage, wrong);
  }
});

Deno.test("parseCgroupRoots() reads paths, with and without a controller", () => {
  assert.deepEqual(parseCgroupRoots(["/a/b", "memory:/m", ":/two", "name=x:/n:1", "/"]), [
    { path: "/a/b" },
    { controller: "memory", path: "/m" },
    { controller: "", path: "/two" },
    { controller: "name=x", path: "/n:1" },
    { path: "/" },
  ]);
  for (const wrong of ["", "a", "memory", "memory:a", "/a/", "/a/../b", "/./a", "//"]) {
    assert.throws(() => parseCgroupRoots([wrong]), usage, wrong);
  }
});

Deno.test("parseSize() reads bytes and binary units, and refuses the rest", () => {
  assert.equal(parseSize("4097"), 4097n);
  assert.equal(parseSize("512K"), 524288n);
  assert.equal(parseSize("8M"), 8388608n);
  assert.equal(parseSize("2G"), 2147483648n);
  for (const wrong of ["", "M", "-1", "1.5M", "8m", "1T"]) {
    assert.throws(() => parseSize(wrong), usage, wrong);
  }
});
