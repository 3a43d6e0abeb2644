import assert from "@std/assert";
import { createPartial, isPartialName, type LockDirectory, removeAbandoned } from "./partial.ts";

/** Locks as flock(2) has them, by path: those of the living. */
class Locks {
  readonly held = new Set<string>();

  readonly lock: LockDirectory = (path) => {
    if (this.held.has(path)) return "busy";
    this.held.add(path);
    return { [Symbol.dispose]: () => void this.held.delete(path) };
  };
}

function inRoom(run: (room: string, target: string) => void): void {
  const room = Deno.makeTempDirSync({ prefix: "stasis-partial-" });
  try {
    run(room, `${room}/images`);
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
}

function names(room: string): string[] {
  return [...Deno.readDirSync(room)].map(({ name }) => name).sort();
}

Deno.test("removeAbandoned() deletes what the dead have left, and leaves the living alone", () =>
  inRoom((room, target) => {
    const locks = new Locks();
    const dead = createPartial(target, locks.lock);
    const other = createPartial(`${room}/other`, locks.lock);
    const living = createPartial(target, locks.lock);
    Deno.writeTextFileSync(`${dead.path}/files.img`, "x");
    assert.ok(names(room).every(isPartialName));
    assert.deepEqual(removeAbandoned(target, locks.lock), []);
    for (const { lock } of [dead, other]) lock?.[Symbol.dispose]();
    assert.deepEqual(removeAbandoned(target, locks.lock).sort(), [dead.path, other.path].sort());
    assert.deepEqual(names(room), [living.path.split("/").at(-1)]);
    assert.deepEqual([...locks.held], [living.path], "a lock is left");
  }));

Deno.test("removeAbandoned() leaves alone what is called alike, or is of another machine", () =>
  inRoom((room, target) => {
    const { lock } = new Locks();
    createPartial(target, () => "unsupported", "another machine");
    const alike = [
      ".images.partial-0123abcd",
      ".images.partial-0123456789abcdef",
      "images.partial-0",
    ];
    for (const name of alike) Deno.mkdirSync(`${room}/${name}`);
    const { path } = createPartial(target, () => "unsupported");
    // A copy under another name, and a link to one that is gone.
    Deno.renameSync(path, path.replace(".images.", ".others."));
    Deno.symlinkSync(room, path);
    const before = names(room);
    assert.deepEqual(removeAbandoned(target, lock), []);
    assert.deepEqual(names(room), before);
  }));

Deno.test("removeAbandoned() leaves everything where there are no locks", () =>
  inRoom((room, target) => {
    createPartial(target, () => "unsupported");
    assert.deepEqual(removeAbandoned(target, () => "unsupported"), []);
    assert.equal(names(room).length, 1);
  }));

Deno.test("createPartial() begins anew where somebody clears up before it has the lock", () =>
  inRoom((room, target) => {
    const { lock } = new Locks();
    let times = 0;
    const { path } = createPartial(target, (path) => {
      if (++times > 1) return lock(path);
      Deno.removeSync(path);
      return "busy";
    });
    assert.equal(times, 2);
    assert.deepEqual(names(room), [path.split("/").at(-1)]);
  }));

Deno.test("createPartial() tells a file system without new directories from a parent that is not there", () => {
  const { lock } = new Locks();
  assert.throws(() => createPartial("/proc/images", lock), {
    message: /no directory can be made in \/proc/,
    hint: /another file system/,
  });
  assert.throws(() => createPartial("/nowhere/images", lock), { hint: /create the directory/ });
});
