import { deepEqual, equal, rejects, throws } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { NO_OWNER } from "../../images/fown.ts";
import {
  type reg_file_entry,
  reg_file_entrySchema,
  remap_type,
} from "../../images/gen/paths_pb.ts";
import { encodeGhostChunks } from "../../images/ghost_chunks.ts";
import { GHOST_FILE, REMAP_FPATH } from "../../images/kinds/files.ts";
import { ImageDirectory, ImageWriter } from "../../images/mod.ts";
import { O } from "../linux/fcntl.ts";
import { type Argument, CallResult, ScratchData, SyscallProgram } from "../remote/program.ts";
import { deadTaskIds } from "./file_remaps.ts";
import {
  type AbsentFiles,
  type DeadTaskFile,
  freeName,
  type GhostPlanner,
  Ghosts,
} from "./ghosts.ts";
import { TemporaryNames } from "./temporary_names.ts";

/** Of files that are not there any more beside deleted ones. */
const NOTHING: AbsentFiles = { dead: new Map(), events: new Set() };

const DATA = new TextEncoder().encode("contents");

/** A ghost, and how each entry that means it is open. */
interface Case {
  readonly mode: number;
  readonly users: readonly { readonly name: string; readonly flags: number }[];
  readonly chunks?: boolean;
  /** Names are as they stand. */
  readonly relative?: boolean;
}

function show(argument: Argument): string {
  if (argument instanceof CallResult) return `=${argument.index}`;
  if (!(argument instanceof ScratchData)) return String(argument);
  return argument.note === "offset"
    ? `[${new DataView(argument.bytes.buffer).getBigInt64(0, true)}]`
    : `{${argument.note}}`;
}

function lines(program: SyscallProgram): string[] {
  return program.calls.map(({ name, args }) => `${name}(${args.map(show).join(", ")})`);
}

/** Plans a ghost whose names are below an empty directory, which stands for "/d" in what is compared. */
async function planned({ mode, users, chunks = true, relative = false }: Case) {
  const home = Deno.makeTempDirSync({ prefix: "stasis-ghosts-" });
  try {
    await using writer = ImageWriter.create(`${home}/images`);
    const entries = new Map<number, reg_file_entry>();
    users.forEach(({ name, flags }, index) => {
      const id = index + 1;
      const entry = {
        id,
        flags,
        pos: 0n,
        fown: NO_OWNER,
        name: relative ? name : `${home}/${name}`,
        mode,
      };
      entries.set(id, create(reg_file_entrySchema, entry));
      writer.append(REMAP_FPATH, null, { origId: id, remapId: 9, remapType: remap_type.GHOST });
    });
    const regular = (mode & 0o170000) === 0o100000;
    const extra = chunks ? encodeGhostChunks([{ offset: 4096n, data: DATA }]) : DATA;
    const size = chunks ? 8192n : undefined;
    const ghost = regular ? { uid: 1, gid: 2, mode, chunks, size } : { uid: 1, gid: 2, mode };
    if (regular) writer.write(GHOST_FILE, 9, ghost, extra);
    else writer.write(GHOST_FILE, 9, ghost);
    await writer.commit({ imgVersion: 2 });

    const images = ImageDirectory.open(`${home}/images`);
    const ghosts = new Ghosts(images);
    const seed = new SyscallProgram("seed");
    let service = 100;
    const names = new TemporaryNames();
    const tree = {
      seed,
      names,
      tasks: [],
      files: { pathOf: (id: number) => entries.get(id)?.name },
      service: () => service++,
      serviceFile: () => 99,
    };
    const notes: string[] = [];
    const entryOf = (id: number) => entries.get(id) as reg_file_entry;
    ghosts.plan(
      tree as unknown as GhostPlanner,
      entryOf,
      NOTHING,
      (text) => void notes.push(text),
    );
    const task = new SyscallProgram("open");
    for (const [id, { flags }] of entries) ghosts.open(task, id, flags);
    const image = new TextDecoder("latin1").decode(Deno.readFileSync(images.pathOf(GHOST_FILE, 9)));
    return {
      names: lines(names.program).map((line) => line.replaceAll(home, "/d")),
      seed: lines(seed).map((line) => line.replaceAll(home, "/d")),
      task: lines(task),
      notes: notes.map((note) => note.replaceAll(home, "/d")),
      dataAt: image.indexOf("contents"),
    };
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
}

Deno.test("Ghosts deletes a file before it is filled, and leaves nothing that can be written to", async () => {
  const { names, seed, task, dataAt } = await planned({
    mode: 0o104755,
    users: [{ name: "f", flags: O.RDWR }, { name: "g", flags: O.RDONLY }],
  });
  const make = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW;
  const hold = O.PATH | O.NOFOLLOW;
  deepEqual(names, [
    `openat(-100, /d/f, ${make}, 384)`,
    "linkat(-100, /d/f, -100, /d/g, 0)",
    `openat(-100, /d/f, ${hold}, 0)`,
    `openat(-100, /d/g, ${hold}, 0)`,
    "unlink(/d/f)",
    "unlink(/d/g)",
    "dup3(=2, 100, 0)",
    "close(=2)",
    "dup3(=3, 101, 0)",
    "close(=3)",
    "dup3(=0, 102, 0)",
    "close(=0)",
  ]);
  deepEqual(seed, [
    "ftruncate(102, 8192)",
    "lseek(102, 4096, 0)",
    `sendfile(102, 99, [${dataAt}], 8)`,
    "fchown(102, 1, 2)",
    `fchmod(102, ${0o4755})`,
    "close(102)",
  ]);
  deepEqual(task, [
    "openat(-100, /proc/self/fd/100, 2, 0)",
    "openat(-100, /proc/self/fd/101, 0, 0)",
  ]);
});

Deno.test("Ghosts reads contents that are not in chunks, as old images have them", async () => {
  const { seed, dataAt } = await planned({
    mode: 0o100600,
    users: [{ name: "f", flags: O.RDONLY }],
    chunks: false,
  });
  deepEqual(seed.filter((line) => /^(ftruncate|lseek|sendfile)/.test(line)), [
    "ftruncate(101, 8)",
    "lseek(101, 0, 0)",
    `sendfile(101, 99, [${dataAt}], 8)`,
  ]);
});

Deno.test("Ghosts makes missing directories around a deleted one, and takes them away", async () => {
  const { names } = await planned({
    mode: 0o040750,
    users: [{ name: "a/b/c", flags: O.DIRECTORY }],
  });
  deepEqual(names, [
    "mkdirat(-100, /d/a, 448)",
    "mkdirat(-100, /d/a/b, 448)",
    "mkdirat(-100, /d/a/b/c, 448)",
    "fchownat(-100, /d/a/b/c, 1, 2, 256)",
    `fchmodat(-100, /d/a/b/c, ${0o750})`,
    `openat(-100, /d/a/b/c, ${O.PATH | O.NOFOLLOW}, 0)`,
    "rmdir(/d/a/b/c)",
    "rmdir(/d/a/b)",
    "rmdir(/d/a)",
    "dup3(=5, 100, 0)",
    "close(=5)",
  ]);
});

Deno.test("Ghosts opens by name what cannot be opened through /proc, and hands on that", async () => {
  const flags = O.RDONLY | O.NOFOLLOW;
  const { names, task } = await planned({ mode: 0o100600, users: [{ name: "f", flags }] });
  const own = names.findIndex((line) => line === `openat(-100, /d/f, ${flags | O.NOCTTY}, 0)`);
  equal(own > 0, true, names.join("\n"));
  equal(names.includes(`dup3(=${own}, 101, 0)`), true);
  deepEqual(task, ["fcntl(101, 1030, 0)"]);
});

Deno.test("Ghosts opens through /proc what has O_PATH without O_NOFOLLOW, which F_GETFL tells", async () => {
  const flags = O.PATH | O.DIRECTORY;
  const { task } = await planned({ mode: 0o040700, users: [{ name: "d", flags }] });
  deepEqual(task, [`openat(-100, /proc/self/fd/100, ${flags}, 0)`]);
});

Deno.test("Ghosts makes the file of O_TMPFILE without a name, with its maker's flags", async () => {
  const flags = O.RDWR | O.TMPFILE | O.DIRECTORY | O.APPEND;
  const { names, seed, task } = await planned({
    mode: 0o100600,
    users: [{ name: "#12", flags }, { name: "#12", flags: O.RDONLY }],
  });
  equal(names[0], `openat(-100, /d, ${flags & ~O.APPEND}, 384)`);
  equal(names.some((line) => line.startsWith("unlink")), false);
  // O_APPEND comes after the contents.
  const append = seed.indexOf(`fcntl(100, 4, ${O.APPEND})`);
  equal(append > seed.findIndex((line) => line.startsWith("sendfile")), true);
  deepEqual(task, ["fcntl(100, 1030, 0)", "openat(-100, /proc/self/fd/100, 0, 0)"]);
});

Deno.test("Ghosts refuses a file whose directory is something else now", async () => {
  await rejects(
    () => planned({ mode: 0o100600, users: [{ name: "images/inventory.img/f", flags: 0 }] }),
    { code: "conflict" },
  );
});

Deno.test("freeName() takes the path itself where nobody has it", () => {
  equal(freeName("/a/b", 3, () => false), "/a/b");
});

Deno.test("freeName() finds a name beside one that is taken, and beside that", () => {
  const taken = new Set(["/a/b"]);
  equal(freeName("/a/b", 3, (path) => taken.has(path)), "/a/b.stasis-3");
  taken.add("/a/b.stasis-3");
  equal(freeName("/a/b", 3, (path) => taken.has(path)), "/a/b.stasis-3-1");
});

Deno.test("Ghosts tells of a name that another file has by now", async () => {
  const users = [{ name: "images", flags: O.RDONLY }, { name: "f", flags: O.RDONLY }];
  const { notes } = await planned({ mode: 0o100600, users });
  deepEqual(notes, [
    "another file is called /d/images by now: the deleted one is shown as /d/images.stasis-9",
  ]);
});

Deno.test("Ghosts refuses a path that would depend on where the tool runs", async () => {
  const users = [{ name: "f", flags: O.RDONLY }];
  await rejects(() => planned({ mode: 0o100600, users, relative: true }), { code: "bad-image" });
});

/** Images with file 1 of a task that is gone. */
async function withDeadTask(pid: number, use: (images: ImageDirectory) => void): Promise<void> {
  const home = Deno.makeTempDirSync({ prefix: "stasis-ghosts-" });
  try {
    await using writer = ImageWriter.create(`${home}/images`);
    const remap = { origId: 1, remapId: pid, remapType: remap_type.PROCFS };
    writer.append(REMAP_FPATH, null, remap);
    await writer.commit({ imgVersion: 2 });
    use(ImageDirectory.open(`${home}/images`));
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
}

Deno.test("deadTaskIds() refuses an id that no task has", async () => {
  for (const pid of [0, 1 << 22]) {
    await withDeadTask(pid, (images) => throws(() => deadTaskIds(images), { code: "bad-image" }));
  }
});

Deno.test("Ghosts makes and cuts nothing when it opens the file of a task that is gone", () =>
  withDeadTask(7, (images) => {
    const flags = O.RDWR | O.CREAT | O.EXCL | O.TRUNC | O.CLOEXEC | O.NONBLOCK;
    const entry = { id: 1, flags, pos: 3n, fown: NO_OWNER, name: "/proc/7/status", mode: 0 };
    const deadTasks = new Map<number, DeadTaskFile[]>();
    const tree = { deadTasks, files: { pathOf: () => entry.name }, service: () => 100 };
    const entryOf = () => create(reg_file_entrySchema, entry);
    new Ghosts(images).plan(tree as unknown as GhostPlanner, entryOf, {
      ...NOTHING,
      dead: new Map([[1, 7]]),
    }, () => {});
    const how = O.RDWR | O.NONBLOCK | O.NOCTTY;
    deepEqual([...deadTasks], [[7, [{ path: entry.name, flags: how, pos: 3n, service: 100 }]]]);
  }));
