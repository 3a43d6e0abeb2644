import { equal } from "@std/assert";
import { type DirectoryReader, NameIndex, OtherNames, type SearchLimits } from "./other_names.ts";

const DIRECTORY = 4, REGULAR = 8;

/** A machine of directories with files by their inodes; a device for what is mounted. */
function machine(
  tree: Record<string, Record<string, number>>,
  mounted: readonly string[] = [],
): DirectoryReader & { reads: string[] } {
  const reads: string[] = [];
  const split = (
    path: string,
  ) => [path.slice(0, path.lastIndexOf("/")) || "/", path.slice(path.lastIndexOf("/") + 1)];
  return {
    reads,
    entries(directory) {
      reads.push(directory);
      return Object.entries(tree[directory] ?? {}).map(([name, ino]) => ({
        name,
        ino: BigInt(ino),
        type: ino === 0 ? DIRECTORY : REGULAR,
      }));
    },
    look(path) {
      const dev = mounted.some((one) => path === one || path.startsWith(`${one}/`)) ? 2 : 1;
      if (path in tree) return { dev, ino: 0 };
      const [directory, name] = split(path) as [string, string];
      const ino = tree[directory]?.[name];
      return ino === undefined ? undefined : { dev, ino };
    },
  };
}

const FILE = { dev: 1, ino: 7 };

const searchName = (
  from: string,
  meant: typeof FILE,
  reader: DirectoryReader,
  limits?: SearchLimits,
) => new NameIndex(reader).search(from, meant, limits);

Deno.test("NameIndex.search() looks below the directory first, then beside it, up to the root", () => {
  const tree = {
    "/": { a: 0, far: 7 },
    "/a": { b: 0, c: 0 },
    "/a/b": { d: 0 },
    "/a/c": { x: 7 },
    "/a/b/d": {},
  };
  const reader = machine(tree);
  equal(searchName("/a/b", FILE, reader), "/a/c/x");
  equal(reader.reads.join(" "), "/a/b /a/b/d /a /a/c");
  equal(searchName("/a/b", FILE, machine({ ...tree, "/a/c": {} })), "/far");
});

Deno.test("NameIndex.search() takes no other file system's inode of that number, and does not search there", () => {
  const reader = machine({ "/": { a: 0, m: 0 }, "/a": {}, "/m": { x: 7 } }, ["/m"]);
  equal(searchName("/a", FILE, reader), undefined);
  equal(reader.reads.includes("/m"), false);
});

Deno.test("NameIndex.search() ends at its limits", () => {
  const tree = { "/": { a: 0, x: 7 }, "/a": { b: 1, c: 2 } };
  equal(searchName("/a", FILE, machine(tree), { directories: 1, names: 100 }), undefined);
  equal(searchName("/a", FILE, machine(tree), { directories: 9, names: 2 }), undefined);
  equal(searchName("/a", FILE, machine(tree), { directories: 9, names: 3 }), "/x");
});

Deno.test("OtherNames searches again where what it had found is gone, and not for what it did not find", () => {
  const tree: Record<string, Record<string, number>> = { "/": { a: 0, x: 7 }, "/a": {} };
  const reader = machine(tree);
  const names = new OtherNames(reader);
  equal(names.find("/a", FILE), "/x");
  const { length } = reader.reads;
  equal(names.find("/a", FILE), "/x");
  equal(reader.reads.length, length);
  tree["/"] = { a: 0, y: 7 };
  equal(names.find("/a", FILE), "/y");
  equal(names.find("/", { dev: 1, ino: 9 }), undefined);
  tree["/"] = { a: 0, z: 9 };
  equal(names.find("/", { dev: 1, ino: 9 }), undefined);
});

Deno.test("OtherNames reads no directory twice, whatever it looks for", () => {
  const tree = { "/": { a: 0, x: 7, y: 8 }, "/a": { b: 0, c: 0 }, "/a/b": {}, "/a/c": { z: 9 } };
  const reader = machine(tree);
  const names = new OtherNames(reader);
  equal(names.find("/a/b", FILE), "/x");
  for (const ino of [20, 21, 22]) equal(names.find("/a/c", { dev: 1, ino }), undefined);
  equal(names.find("/a/b", { dev: 1, ino: 8 }), "/y");
  equal(names.find("/a", { dev: 1, ino: 9 }), "/a/c/z");
  equal(reader.reads.join(" "), "/a/b /a /a/c /");
});

Deno.test("OtherNames looks at each name of the nearest directory once, and not at its inode there alone", () => {
  const reader = machine({ "/a": { x: 7, y: 1, z: 2 } });
  const looks: string[] = [];
  const names = new OtherNames({
    // As a file system of layers may tell them.
    entries: (path) => reader.entries(path).map((entry) => ({ ...entry, ino: entry.ino + 100n })),
    look(path) {
      looks.push(path);
      return reader.look(path);
    },
  });
  equal(names.find("/a", FILE), "/a/x");
  for (const ino of [20, 21, 22, 20]) equal(names.find("/a", { dev: 1, ino }), undefined);
  equal(looks.filter((path) => path === "/a/y").length, 1);
});

Deno.test("NameIndex reads no more for all files than it may", () => {
  const tree = { "/": { a: 0, b: 0, x: 7 }, "/a": {}, "/b": {} };
  const index = new NameIndex(machine(tree), { directories: 2, names: 100 });
  equal(index.search("/a", { dev: 1, ino: 20 }), undefined);
  equal(index.search("/b", { dev: 1, ino: 21 }), undefined);
  equal(index.search("/b", FILE), "/x");
});
