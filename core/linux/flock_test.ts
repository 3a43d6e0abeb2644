import assert from "@std/assert";
import { lockDirectory } from "./flock.ts";

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
