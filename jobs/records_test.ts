import { deepEqual, equal, throws } from "@std/assert";
import {
  describeOwner,
  type Owner,
  readEnd,
  readMade,
  readNewFiles,
  readOwner,
  readProcessName,
  strangerProblem,
} from "./records.ts";

const run: Owner = { kind: "run", command: ["python3", "a b.py"], directory: "/home/x" };
const process = { pid: 7, startTime: "123", boot: "b" };
const watch: Owner = { kind: "watch", command: ["java"], process };

Deno.test("records are read as they were written", () => {
  for (const owner of [run, watch]) deepEqual(readOwner(JSON.stringify(owner), "job.json"), owner);
  deepEqual(readProcessName(JSON.stringify(process), "running.json"), process);
  const end = { code: 3, at: "2026-01-01T00:00:00.000Z" };
  deepEqual(readEnd(JSON.stringify(end), "end.json"), end);
  const file = {
    path: "/x",
    length: 3,
    mtime: "12",
    ino: 4,
    append: true,
    reads: false,
    seen: true,
  };
  const files = { lists: [{ checkpoint: 1, files: [file] }, { checkpoint: 2, files: [] }] };
  deepEqual(readNewFiles(JSON.stringify(files), "new.json"), files);
  const made = { at: end.at, bytes: 1, frozenMs: 2.5, totalMs: 3, tasks: 4, threads: 5 };
  deepEqual(readMade(JSON.stringify(made), "1.json"), made);
});

Deno.test("damaged records are told", () => {
  for (
    const text of [
      "",
      "{",
      "null",
      "[]",
      "{}",
      '{"kind":"run","command":["a"]}',
      '{"kind":"run","command":"a","directory":"/"}',
      '{"kind":"other","command":[],"directory":"/"}',
      '{"kind":"watch","command":["a"]}',
      '{"kind":"watch","command":["a"],"process":{"pid":"7"}}',
    ]
  ) throws(() => readOwner(text, "job.json"), { code: "bad-image" });
  throws(() => readEnd('{"at":"x"}', "end.json"), { code: "bad-image" });
  const file = {
    path: "/x",
    length: 3,
    mtime: "x",
    ino: 4,
    append: true,
    reads: false,
    seen: true,
  };
  for (
    const value of [
      {},
      { lists: [null] },
      { lists: [{ checkpoint: 1 }] },
      { lists: [{ checkpoint: 1, files: [file] }] },
    ]
  ) throws(() => readNewFiles(JSON.stringify(value), "new.json"), { code: "bad-image" });
  throws(() => readMade('{"at":"x"}', "1.json"), { code: "bad-image" });
});

Deno.test("strangerProblem() tells one command from another", () => {
  equal(strangerProblem(run, { ...run }), undefined);
  equal(
    strangerProblem(run, { ...run, command: ["python3", "a", "b.py"] }),
    "it belongs to python3 'a b.py'",
  );
  equal(
    strangerProblem(run, { ...run, directory: "/" }),
    "it belongs to the same command in /home/x",
  );
  equal(strangerProblem(watch, run), "it belongs to process 7 (java)");
  equal(strangerProblem(run, watch), "it belongs to python3 'a b.py'");
  equal(strangerProblem(watch, { ...watch, process: { ...process, startTime: "124" } }), undefined);
  for (const other of [{ ...watch, process: { ...process, pid: 8 } }, { ...watch, command: [] }]) {
    equal(strangerProblem(watch, other), "it belongs to process 7 (java)");
  }
});

Deno.test("describeOwner() writes a command line as a shell reads it", () => {
  equal(describeOwner({ ...run, command: ["sh", "-c", "echo 'x'"] }), `sh -c 'echo '\\''x'\\'''`);
  equal(describeOwner({ ...watch, command: [] }), "process 7 (a program without a command line)");
});
