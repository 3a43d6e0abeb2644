import { deepEqual, equal } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { pstree_entrySchema } from "../../images/gen/tree_pb.ts";
import { tty_info_entrySchema, TtyType } from "../../images/gen/terminals_pb.ts";
import { termiosImage, windowImage } from "./image.ts";
import { shellTerminalUse } from "./shell_job.ts";

const task = (pid: number, ppid: number, pgid: number, sid: number) =>
  create(pstree_entrySchema, { pid, ppid, pgid, sid, threads: [pid] });

const TERMIOS = {
  iflag: 1,
  oflag: 2,
  cflag: 3,
  lflag: 4,
  line: 0,
  cc: Array.from({ length: 19 }, (_, at) => at),
  ispeed: 9600,
  ospeed: 9600,
};
const SIZE = { rows: 24, columns: 80, width: 0, height: 0 };

const terminals = (pgrp: number, sid = 50) => {
  const info = create(tty_info_entrySchema, {
    id: 1,
    type: TtyType.EXT_TTY,
    sid,
    pgrp,
    termios: termiosImage(TERMIOS),
    winsize: windowImage(SIZE),
  });
  return new Map([[1, info]]);
};

Deno.test("shellTerminalUse() is what the tree had in the foreground", () => {
  const tasks = [task(100, 0, 100, 50), task(101, 100, 101, 50)];
  deepEqual(shellTerminalUse(tasks, terminals(100)), { group: 100, termios: TERMIOS, size: SIZE });
  deepEqual(shellTerminalUse(tasks, terminals(101))?.group, 101);
});

Deno.test("shellTerminalUse() has no modes of a shell that had the foreground itself", () => {
  const use = { group: 100, termios: undefined, size: undefined, isBehind: true };
  // Of what it had in its place nothing is known.
  const elsewhere = { ...use, isBehind: false };
  deepEqual(shellTerminalUse([task(100, 0, 100, 50)], terminals(50)), use);
  deepEqual(shellTerminalUse([task(100, 0, 100, 50)], terminals(100, 60)), elsewhere);
  deepEqual(shellTerminalUse([task(100, 0, 100, 50)], new Map()), elsewhere);
});

Deno.test("shellTerminalUse() has no group of a tree that was in that of others", () => {
  const use = { group: undefined, termios: TERMIOS, size: SIZE };
  deepEqual(shellTerminalUse([task(100, 0, 90, 50)], terminals(90)), use);
});

Deno.test("shellTerminalUse() is nothing to a session of the tree", () => {
  equal(shellTerminalUse([task(100, 0, 100, 100)], terminals(100)), undefined);
});
