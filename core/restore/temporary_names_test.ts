import { deepEqual } from "@std/assert";
import { TemporaryNames } from "./temporary_names.ts";

Deno.test("TemporaryNames.undo() takes away what is there when a call fails, and nothing else", () => {
  const names = new TemporaryNames();
  const { program } = names;
  const directory = names.made(program.call("mkdirat", -100, "/d", 0o700), "rmdir", "/d");
  const file = names.made(program.call("openat", -100, "/d/f", 0, 0), "unlink", "/d/f");
  names.keep(program.call("openat", -100, "/d/f", 0, 0), 90);
  file();
  directory();
  const undone = (failed: number) =>
    names.undo(failed).calls.map(({ name, args }) => `${name} ${args[0]}`);
  // The call that failed has made nothing: what is there under its name is somebody else's.
  deepEqual(undone(0), []);
  deepEqual(undone(1), ["rmdir /d"]);
  deepEqual(undone(2), ["unlink /d/f", "rmdir /d"]);
  deepEqual(undone(5), ["unlink /d/f", "rmdir /d"]);
  deepEqual(undone(6), ["rmdir /d"]);
});
