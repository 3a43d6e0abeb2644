import { deepEqual, equal, throws } from "@std/assert";
import { imagesIn } from "./latest.ts";
import type { Made, Owner } from "./records.ts";
import { Store, StoreReader } from "./store.ts";

const OWNER: Owner = { kind: "run", command: ["sleep", "1"], directory: "/" };
const MADE: Made = {
  at: "2026-01-01T00:00:00.000Z",
  bytes: 1,
  frozenMs: 1,
  totalMs: 1,
  tasks: 1,
  threads: 1,
};

function inRoom(run: (store: string) => void): void {
  const room = Deno.makeTempDirSync({ prefix: "stasis-store-" });
  try {
    run(`${room}/store`);
  } finally {
    Deno.removeSync(room, { recursive: true });
  }
}

/** What a checkpoint leaves. @param parent the number of its parent */
function save(path: string, number: number, parent?: number): void {
  Deno.mkdirSync(`${path}/${number}`);
  Deno.writeTextFileSync(`${path}/${number}/inventory.img`, "");
  if (parent !== undefined) Deno.symlinkSync(`../${parent}`, `${path}/${number}/parent`);
}

Deno.test("Store.prune() keeps the parent of a checkpoint that has pages in common, too", () =>
  inRoom((path) => {
    using store = Store.open(path, OWNER);
    for (let number = 1; number <= 2; number++) {
      save(path, number);
      store.add(number, MADE);
    }
    // The link is in the inner parent then.
    Deno.mkdirSync(`${path}/2/parent`);
    Deno.symlinkSync("../../1", `${path}/2/parent/parent`);
    deepEqual(store.prune(1), []);
  }));

const names = (path: string) => Array.from(Deno.readDirSync(path), ({ name }) => name).sort();

Deno.test("Store has its latest, numbers that go up, and a retention that breaks no chain", () =>
  inRoom((path) => {
    using store = Store.open(path, OWNER);
    for (let number = 1; number <= 5; number++) {
      equal(store.list().next, number);
      save(path, number, number === 3 || number === 5 ? number - 1 : undefined);
      store.add(number, { ...MADE, bytes: number });
      equal(imagesIn(path), `${path}/${number}`);
    }
    deepEqual(store.prune(1), [1, 2, 3]);
    deepEqual(store.list(), { checkpoints: [4, 5], latest: 5, next: 6, leftovers: [] });
    equal(store.made(3), undefined);
    equal(store.made(5)?.bytes, 5);
    Deno.writeTextFileSync(`${path}/5/pages-1.img`, "1234567");
    store.measure(5);
    deepEqual(store.made(5), { ...MADE, bytes: 7 });
    deepEqual(names(path), ["4", "4.json", "5", "5.json", "job.json", "latest", "lock"]);
  }));

Deno.test("Store has one owner at a time, and the next one when that is gone", () =>
  inRoom((path) => {
    {
      using _ = Store.open(path, OWNER);
      throws(() => Store.open(path, OWNER), { code: "exists", message: /somebody else saves/ });
      throws(() => Store.open(path), { code: "exists" });
    }
    Store.open(path, OWNER)[Symbol.dispose]();
    throws(() => Store.open(path, { ...OWNER, command: ["sleep", "2"] }), {
      code: "exists",
      message: /belongs to sleep 1$/,
    });
    Store.open(path)[Symbol.dispose]();
  }));

Deno.test("Store finishes what somebody who was killed had begun", () =>
  inRoom((path) => {
    Store.open(path, OWNER)[Symbol.dispose]();
    save(path, 1);
    save(path, 2);
    Deno.symlinkSync("1", `${path}/latest`);
    Deno.symlinkSync("2", `${path}/.latest.new`);
    Deno.mkdirSync(`${path}/.7.deleted/x`, { recursive: true });
    Deno.writeTextFileSync(`${path}/.end.json.new`, "{");
    using store = Store.open(path, OWNER);
    deepEqual(store.list(), { checkpoints: [1, 2], latest: 2, next: 3, leftovers: [] });
    equal(store.end(), undefined);
  }));

Deno.test("Store does not name what is not whole", () =>
  inRoom((path) => {
    Store.open(path, OWNER)[Symbol.dispose]();
    save(path, 1);
    Deno.mkdirSync(`${path}/2`);
    using store = Store.open(path, OWNER);
    equal(store.list().latest, 1);
  }));

Deno.test("Store notes the end, and the process", () =>
  inRoom((path) => {
    const process = { pid: 1, startTime: "2", boot: "3" };
    {
      using store = Store.open(path, OWNER);
      store.noteRunning(process);
      store.noteEnd({ code: 3, at: MADE.at });
    }
    const reader = new StoreReader(path);
    deepEqual(reader.end(), { code: 3, at: MADE.at });
    deepEqual(reader.running(), process);
    deepEqual(reader.owner(), OWNER);
  }));

Deno.test("Store takes no directory with something else in it", () =>
  inRoom((path) => {
    throws(() => Store.open(path), { code: "bad-image", message: /there is no store/ });
    Deno.mkdirSync(path);
    Deno.writeTextFileSync(`${path}/letter`, "");
    throws(() => Store.open(path, OWNER), { code: "exists", message: /has letter in it/ });
    deepEqual(names(path), ["letter"]);
  }));

Deno.test("imagesIn() is the directory itself where that is no store", () =>
  inRoom((path) => equal(imagesIn(path), path)));
