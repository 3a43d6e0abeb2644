import { deepEqual, equal } from "@std/assert";
import { NewFileLists } from "./new_file_lists.ts";

/** What was known in a moment in which all files were so long. */
const when = (length: number) => ({ of: () => ({ length, mtime: "1", ino: 7 }) });
const LOG = { path: "/log", ino: 7, append: true, reads: false };
const lengths = ({ record }: NewFileLists) =>
  record.lists.map(({ checkpoint, files }) => [checkpoint, ...files.map(({ length }) => length)]);

Deno.test("NewFileLists keeps what was seen for the latest checkpoint and for the one that is being made", () => {
  const lists = new NewFileLists();
  lists.begin(1, when(10), []);
  equal(lists.see([LOG]), true);
  equal(lists.see([LOG]), false);
  lists.begin(2, when(20), []);
  deepEqual(lengths(lists), [[1, 10], [2]]);
  // It runs on while that is written: what is open is new for one of them.
  equal(lists.see([LOG]), true);
  deepEqual(lengths(lists), [[1, 10], [2, 20]]);
  equal(lists.keep(2), true);
  deepEqual(lengths(lists), [[2, 20]]);
  equal(lists.keep(2), false);
});

Deno.test("NewFileLists forgets what an attempt has noted that has failed", () => {
  const lists = new NewFileLists();
  lists.begin(1, when(10), []);
  lists.begin(2, when(20), []);
  lists.see([LOG]);
  lists.begin(2, when(30), []);
  deepEqual(lengths(lists), [[1, 10], [2]]);
  equal(lists.keep(1), true);
  deepEqual(lengths(lists), [[1, 10]]);
});

Deno.test("NewFileLists takes no note of files of which nothing is known, and of each way to write once", () => {
  const lists = new NewFileLists();
  lists.begin(1, { of: () => undefined }, []);
  equal(lists.see([LOG]), false);
  lists.begin(1, when(10), []);
  equal(lists.see([LOG]), true);
  equal(lists.see([{ ...LOG, append: false }]), true);
  equal(lists.see([{ ...LOG, append: false }, LOG]), false);
  equal(lists.record.lists[0]?.files[0]?.append, false);
});

Deno.test("NewFileLists.emptied() names what a job that is taken up before it writes it will write again", () => {
  const lists = new NewFileLists();
  const file = { path: "/log", length: 0, mtime: "0", ino: 7, append: true, reads: false };
  const now = (length: number, ino: number) => () => ({ length, mtime: 2n, ino });
  lists.begin(1, when(0), [{ ...file, seen: true }]);
  deepEqual(lists.emptied(1, now(0, 7)).map(({ path }) => path), ["/log"]);
  deepEqual(lists.emptied(1, now(5, 7)), []);
  deepEqual(lists.emptied(1, now(0, 8)), []);
  deepEqual(lists.emptied(1, () => "missing"), []);
  deepEqual(lists.emptied(2, now(0, 7)), []);
  // Others may make it.
  lists.begin(1, when(0), [{ ...file, seen: false }]);
  deepEqual(lists.emptied(1, now(0, 7)), []);
});
