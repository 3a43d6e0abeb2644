import { deepEqual, equal, match } from "@std/assert";
import { isCut, judge, type Writing, writingOf } from "./rollback.ts";

const WRONLY = 1, RDWR = 2, APPEND = 0o2000, PATH = 0o10000000;
const writing = (more: Partial<Writing> = {}): Writing => ({
  length: 100n,
  mtime: 5n,
  append: true,
  atEnd: false,
  ...more,
});
const file = (...writings: Writing[]) => ({ path: "/log", writings });

Deno.test("writingOf() tells files that are written, and how", () => {
  equal(writingOf({ flags: 0, pos: 0n }, 0n), undefined);
  equal(writingOf({ flags: RDWR | PATH, pos: 0n }, 0n), undefined);
  deepEqual(writingOf({ flags: WRONLY | APPEND, pos: 0n }, 9n), { append: true, atEnd: false });
  deepEqual(writingOf({ flags: WRONLY, pos: 0n }, 0n), { append: false, atEnd: true });
  deepEqual(writingOf({ flags: WRONLY, pos: 9n }, 9n), { append: false, atEnd: true });
  deepEqual(writingOf({ flags: WRONLY, pos: 8n }, 9n), { append: false, atEnd: false });
  deepEqual(writingOf({ flags: RDWR, pos: 9n }, 9n), { append: false, atEnd: true });
  deepEqual(writingOf({ flags: RDWR, pos: 0n }, 0n), { append: false, atEnd: false });
});

Deno.test("judge() cuts back what was only appended to", () => {
  const cut = { path: "/log", length: 100n, found: 120n };
  const found = { length: 120n, mtime: 6n };
  deepEqual(judge(file(writing()), found, "buildid"), cut);
  deepEqual(judge(file(writing({ append: false, atEnd: true })), found, "none"), cut);
  equal(isCut(judge(file(writing()), found, "size")), true);
});

Deno.test("judge() leaves what is as it was", () => {
  const found = { length: 100n, mtime: 5n };
  for (const append of [true, false]) {
    for (const atEnd of [true, false]) {
      equal(judge(file(writing({ append, atEnd })), found, "buildid"), undefined);
    }
  }
  equal(judge(file(), found, "buildid"), undefined);
  equal(judge(file(writing()), { length: 100n, mtime: 9n }, "buildid"), undefined);
});

Deno.test("judge() refuses what was written elsewhere, and what is short, unless that does not matter", () => {
  const inside = writing({ append: false });
  for (
    const [writings, found, what] of [
      [[inside], { length: 120n, mtime: 6n }, /not at its end alone/],
      [[inside], { length: 100n, mtime: 6n }, /not at its end alone/],
      [[writing({ append: false, atEnd: true })], { length: 100n, mtime: 6n }, /end alone/],
      [[writing(), inside], { length: 120n, mtime: 6n }, /not at its end alone/],
      [[writing()], { length: 99n, mtime: 6n }, /has 99 bytes now and had 100/],
    ] as const
  ) {
    const judged = judge(file(...writings), found, "buildid");
    match(judged !== undefined && "what" in judged ? judged.what : "", what);
    equal(judge(file(...writings), found, "none"), undefined);
  }
});
