import assert from "@std/assert";
import { lockDirectory, lockFile } from "./flock.ts";

function inRoom(run: (room: string) => void): void {
  const room = Deno.makeTempDirSync({ prefix: "stasis-flock-" });
  try {
    run(room);
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
}

function locked(path: string): Disposable {
  const lock = lockDirectory(path);
  if (typeof lock === "string") throw new Error(`${path}: ${lock}`);
  return lock;
}

Deno.test("lockDirectory() keeps everybody else out until its scope ends", () =>
  inRoom((room) => {
    {
      using _ = locked(room);
      assert.equal(lockDirectory(room), "busy");
    }
    locked(room)[Symbol.dispose]();
  }));

Deno.test("lockDirectory() locks neither what is not there, nor files, nor through symbolic links", () =>
  inRoom((room) => {
    Deno.writeTextFileSync(`${room}/file`, "");
    Deno.mkdirSync(`${room}/directory`);
    Deno.symlinkSync(`${room}/directory`, `${room}/link`);
    for (const name of ["none", "file", "link"]) {
      assert.equal(lockDirectory(`${room}/${name}`), "busy", name);
    }
  }));

Deno.test("lockFile() makes a file, and keeps everybody else out until its scope ends", () =>
  inRoom((room) => {
    const path = `${room}/lock`;
    const lock = lockFile(path);
    assert.notEqual(lock, "busy");
    assert.equal(lockFile(path), "busy");
    if (lock !== "busy") lock[Symbol.dispose]();
    const again = lockFile(path);
    assert.notEqual(again, "busy");
    if (again !== "busy") again[Symbol.dispose]();
    assert.throws(() => lockFile(`${room}/none/lock`), { code: "io", errno: "ENOENT" });
  }));

Deno.test("FileLock.inherited() has a child keep the lock for as long as it lives, and no other", async () => {
  const room = Deno.makeTempDirSync({ prefix: "stasis-flock-" });
  try {
    const path = `${room}/lock`;
    const start = () => new Deno.Command("cat", { stdin: "piped", stdout: "null" }).spawn();
    const lock = lockFile(path);
    if (lock === "busy") throw new Error("busy");
    const heir = lock.inherited(start);
    const other = start();
    lock[Symbol.dispose]();
    assert.equal(lockFile(path), "busy");
    await heir.stdin.close();
    await heir.status;
    const again = lockFile(path);
    if (again === "busy") throw new Error("still busy");
    again[Symbol.dispose]();
    await other.stdin.close();
    await other.status;
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
});
