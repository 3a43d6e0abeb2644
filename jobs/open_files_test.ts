import { deepEqual } from "@std/assert";
import { filesBeingWritten } from "./open_files.ts";

Deno.test("filesBeingWritten() finds files that are open for writing, and how, but for some", () => {
  const path = Deno.makeTempFileSync({ prefix: "stasis-new-" });
  const { ino } = Deno.statSync(path);
  const find = (except = new Set<string>()) =>
    filesBeingWritten(Deno.pid, except).filter((one) => one.path === path);
  try {
    using _reading = Deno.openSync(path, { read: true });
    deepEqual(find(), []);
    using _appending = Deno.openSync(path, { append: true });
    deepEqual(find(), [{ path, ino, append: true, reads: false }]);
    using _writing = Deno.openSync(path, { write: true });
    deepEqual(find(), [{ path, ino, append: false, reads: false }]);
    using _both = Deno.openSync(path, { read: true, write: true });
    deepEqual(find(), [{ path, ino, append: false, reads: true }]);
    deepEqual(find(new Set([path])), []);
  } finally {
    Deno.removeSync(path);
  }
});
