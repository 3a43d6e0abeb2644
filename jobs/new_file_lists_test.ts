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
