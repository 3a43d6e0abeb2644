import { deepEqual, equal, ok, rejects, throws } from "@std/assert";
import { BLOCK_SIZE } from "./checksum.ts";
import { decodeImage } from "./codec.ts";
import { ImageDirectory } from "./directory.ts";
import { NO_OWNER } from "./fown.ts";
import { CORE, IMAGES_VERSION, INVENTORY, PSTREE } from "./kinds/core.ts";
import { FILES, PIPES_DATA } from "./kinds/files.ts";
import { PAGEMAP, PAGES, PARENT_PAGEMAP, PARENT_PAGES } from "./kinds/memory.ts";
import { PE_PRESENT } from "./pagemap.ts";
import { ImageWriter } from "./writer.ts";

const INVENTORY_ENTRY = { imgVersion: IMAGES_VERSION, fdinfoPerId: true };
const TREE = [
  { pid: 1, ppid: 0, pgid: 1, sid: 1, threads: [1, 2] },
  { pid: 3, ppid: 1, pgid: 1, sid: 1, threads: [3] },
];

/** An empty directory that is deleted in the end. */
function scratch(): { readonly path: string; [Symbol.dispose](): void } {
  const path = Deno.makeTempDirSync({ prefix: "stasis-images-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

const names = (path: string) => [...Deno.readDirSync(path)].map((entry) => entry.name).sort();

Deno.test("ImageWriter.commit() makes a directory that ImageDirectory reads", async () => {
  using dir = scratch();
  const target = `${dir.path}/images`;
  {
    await using writer = ImageWriter.create(target);
    writer.writeList(PSTREE, null, TREE);
    const reg = { id: 5, flags: 0, pos: 0n, fown: NO_OWNER, name: "/a" };
    writer.append(FILES, null, { type: 1, id: 5, reg });
    writer.append(PIPES_DATA, null, { pipeId: 9, bytes: 3 }, new Uint8Array([1, 2, 3]));
    writer.append(FILES, null, { type: 1, id: 6, reg: { ...reg, id: 6, name: "/b" } });
    writer.writePagemap(PAGEMAP, 1, {
      pagesId: 7,
      entries: [{ vaddr: 4096n, nrPages: 1, flags: 4 }],
    });
    Deno.writeFileSync(writer.createRaw(PAGES, 7), new Uint8Array(4096).fill(1));
    await writer.commit(INVENTORY_ENTRY);
  }
  const images = ImageDirectory.open(target);
  deepEqual(images.fileNames, [
    "files.img",
    "inventory.img",
    "manifest.img",
    "pagemap-1.img",
    "pages-7.img",
    "pipes-data.img",
    "pstree.img",
  ]);
  equal(images.read(INVENTORY, null).imgVersion, IMAGES_VERSION);
  deepEqual(images.readList(PSTREE, null).map(({ pid }) => pid), [1, 3]);
  deepEqual(images.readList(FILES, null).map(({ reg }) => reg?.name), ["/a", "/b"]);
  deepEqual(images.readEntries(PIPES_DATA, null)[0]?.extra, new Uint8Array([1, 2, 3]));
  equal(images.readPagemap(PAGEMAP, 1).pagesId, 7);
  equal(Deno.statSync(images.pathOf(PAGES, 7)).size, 4096);
});

Deno.test("ImageWriter and ImageDirectory have files in the parent, with their checksums", async () => {
  using dir = scratch();
  const target = `${dir.path}/images`;
  await using writer = ImageWriter.create(target);
  const pagemap = { pagesId: 7, entries: [{ vaddr: 4096n, nrPages: 1, flags: PE_PRESENT }] };
  writer.writePagemap(PARENT_PAGEMAP, 1, pagemap);
  Deno.writeFileSync(writer.createRaw(PARENT_PAGES, 7), new Uint8Array(4096).fill(1));
  writer.writeList(PSTREE, null, TREE);
  await writer.commit(INVENTORY_ENTRY);

  equal((Deno.statSync(`${target}/parent`).mode ?? 0) & 0o777, 0o700);
  const images = ImageDirectory.open(target);
  deepEqual(images.fileNames, [
    "inventory.img",
    "manifest.img",
    "parent/pagemap-1.img",
    "parent/pages-7.img",
    "pstree.img",
  ]);
  deepEqual(images.ids(PARENT_PAGEMAP), [1]);
  equal(images.has(PAGEMAP, 1), false);
  deepEqual(images.readPagemap(PARENT_PAGEMAP, 1), pagemap);
  await images.verifyContents();
  Deno.writeFileSync(images.pathOf(PARENT_PAGES, 7), new Uint8Array(4096).fill(2));
  await rejects(ImageDirectory.open(target).verifyContents(), /parent\/pages-7\.img/);
  Deno.removeSync(images.pathOf(PARENT_PAGES, 7));
  throws(() => ImageDirectory.open(target).verify(), { code: "bad-image" });
});

Deno.test("ImageWriter.hold() puts the writing off, and changes nothing of what is written", async () => {
  using dir = scratch();
  const target = `${dir.path}/images`;
  await using writer = ImageWriter.create(target);
  writer.hold();
  writer.writeList(PSTREE, null, TREE);
  writer.append(FILES, null, { type: 1, id: 5 });
  writer.append(FILES, null, { type: 1, id: 6 });
  const bytes = new Uint8Array([1, 2, 3]);
  writer.append(PIPES_DATA, null, { pipeId: 9, bytes: 3 }, bytes);
  bytes.fill(0); // whoever gave them has other use for them
  deepEqual(names(writer.path).filter((name) => name.endsWith(".img")), []);
  writer.writeHeld();
  writer.append(FILES, null, { type: 1, id: 7 });
  await writer.commit(INVENTORY_ENTRY);
  const images = ImageDirectory.open(target);
  deepEqual(images.readList(FILES, null).map(({ id }) => id), [5, 6, 7]);
  deepEqual(images.readList(PSTREE, null).map(({ pid }) => pid), [1, 3]);
  deepEqual(images.readEntries(PIPES_DATA, null)[0]?.extra, new Uint8Array([1, 2, 3]));
});

Deno.test("ImageWriter.flushLists() gives memory back that was written from, and no sooner", () => {
  using dir = scratch();
  using writer = ImageWriter.create(`${dir.path}/images`);
  writer.hold();
  const memory = new Uint8Array(4096).fill(7);
  const written = () =>
    [...Deno.readDirSync(writer.path)].some(({ name }) => name === "pages-1.img");
  const given: boolean[] = [];
  writer.own({ [Symbol.dispose]: () => given.push(written()) });
  writer.writeRaw(PAGES, 1, memory);
  deepEqual(given, []);
  writer.flushLists();
  deepEqual(given, [true]);
  writer.flushLists();
  deepEqual(given, [true]);
});

Deno.test("ImageWriter.hold() keeps few of the bytes behind messages, and their order", async () => {
  using dir = scratch();
  const target = `${dir.path}/images`;
  await using writer = ImageWriter.create(target);
  writer.hold();
  const sizes = [1000, 600_000, 600_000, 10];
  for (const size of sizes) {
    writer.append(PIPES_DATA, null, { pipeId: size, bytes: size }, new Uint8Array(size).fill(7));
  }
  writer.writeList(PSTREE, null, TREE);
  deepEqual(names(writer.path).filter((name) => name.endsWith(".img")), ["pipes-data.img"]);
  writer.writeHeld();
  await writer.commit(INVENTORY_ENTRY);
  const entries = ImageDirectory.open(target).readEntries(PIPES_DATA, null);
  deepEqual(entries.map(({ message }) => message.bytes), sizes);
  deepEqual(entries.map(({ extra }) => extra?.length), sizes);
});

Deno.test("ImageWriter.createNothing() takes everything and writes nothing", () => {
  using writer = ImageWriter.createNothing();
  writer.append(FILES, null, { type: 1, id: 5 });
  throws(() => writer.createRaw(PAGES, 1));
  writer.append(PIPES_DATA, null, { pipeId: 9, bytes: 1 }, new Uint8Array(1));
});

Deno.test("ImageWriter keeps what it writes from others", async () => {
  using dir = scratch();
  await using writer = ImageWriter.create(`${dir.path}/images`);
  writer.writeList(PSTREE, null, TREE);
  writer.append(FILES, null, { type: 1, id: 5 });
  writer.createRaw(PAGES, 1);
  equal(Deno.statSync(writer.path).mode! & 0o777, 0o700);
  await writer.commit(INVENTORY_ENTRY);
  equal(Deno.statSync(writer.target).mode! & 0o777, 0o700);
  for (const name of names(writer.target)) {
    equal(Deno.statSync(`${writer.target}/${name}`).mode! & 0o777, 0o600, name);
  }
});

Deno.test("ImageWriter.commit() leaves checksums by which every damage is found", async () => {
  using dir = scratch();
  const target = `${dir.path}/images`;
  const size = 2 * BLOCK_SIZE + 5000;
  {
    await using writer = ImageWriter.create(target);
    writer.writeList(PSTREE, null, TREE);
    writer.append(PIPES_DATA, null, { pipeId: 7, bytes: 3, size: 4096 }, new Uint8Array(3));
    const pages = writer.createRaw(PAGES, 1);
    Deno.writeFileSync(pages, new Uint8Array(size).fill(1, 0, BLOCK_SIZE + 4096));
    await writer.rawWritten(PAGES, 1, BigInt(BLOCK_SIZE + 4096));
    Deno.writeFileSync(pages, new Uint8Array(size).fill(1));
    await writer.commit(INVENTORY_ENTRY);
  }
  const whole = await ImageDirectory.open(target).verifyContents();
  const files = names(target).filter((name) => name !== "manifest.img");
  equal(
    whole,
    files.reduce((sum, name) => sum + BigInt(Deno.statSync(`${target}/${name}`).size), 0n),
  );
  for (const name of files) {
    const path = `${target}/${name}`;
    const bytes = Deno.readFileSync(path);
    const damaged = bytes.slice();
    damaged[damaged.length - 1]! ^= 1;
    Deno.writeFileSync(path, damaged);
    const start = Math.floor((bytes.length - 1) / BLOCK_SIZE) * BLOCK_SIZE;
    await rejects(() => ImageDirectory.open(target).verifyContents(), {
      code: "bad-image",
      message: `the image ${name} in ${target} is damaged between bytes ${start} and ` +
        `${bytes.length}: its checksum is another than when it was written`,
    });
    Deno.writeFileSync(path, bytes);
  }
  Deno.removeSync(`${target}/manifest.img`);
  await rejects(() => ImageDirectory.open(target).verifyContents(), { code: "unsupported" });
});

Deno.test("ImageDirectory.read() finds damage that is still a message", async () => {
  using dir = scratch();
  const target = `${dir.path}/images`;
  {
    await using writer = ImageWriter.create(target);
    writer.append(PIPES_DATA, null, { pipeId: 7, bytes: 3, size: 4096 }, new Uint8Array(3));
    await writer.commit(INVENTORY_ENTRY);
  }
  const path = `${target}/pipes-data.img`;
  const bytes = Deno.readFileSync(path);
  bytes[bytes.length - 1]! ^= 1;
  Deno.writeFileSync(path, bytes);
  throws(() => ImageDirectory.open(target).readEntries(PIPES_DATA, null), {
    code: "bad-image",
    message: `the image pipes-data.img in ${target} is damaged between bytes 0 and ` +
      `${bytes.length}: its checksum is another than when it was written`,
  });
});

Deno.test("ImageWriter leaves nothing behind without a commit", async () => {
  using dir = scratch();
  {
    using writer = ImageWriter.create(`${dir.path}/images`);
    writer.append(FILES, null, { type: 1, id: 5 });
    deepEqual(names(dir.path).length, 1);
    ok(/^\.images\.partial-[0-9a-f]{16}$/.test(names(dir.path)[0]!));
  }
  deepEqual(names(dir.path), []);
  {
    await using writer = ImageWriter.create(`${dir.path}/images`);
    writer.writeList(PSTREE, null, []);
  }
  deepEqual(names(dir.path), []);
});

Deno.test("ImageWriter.commit() syncs with everything written, and before the name is given", async () => {
  using dir = scratch();
  const seen: string[][] = [];
  await using writer = ImageWriter.create(`${dir.path}/images`, {
    sync: (path) => {
      equal(path, writer.path);
      seen.push(names(path));
      decodeImage(FILES, Deno.readFileSync(`${path}/files.img`), "files.img");
      equal(names(dir.path).includes("images"), false);
      return Promise.resolve();
    },
  });
  writer.append(FILES, null, { type: 1, id: 5 });
  await writer.commit(INVENTORY_ENTRY);
  deepEqual(seen, [["files.img", "inventory.img", "manifest.img"]]);
});

Deno.test("ImageWriter.commit() that fails gives no name, and nothing is left", async () => {
  using dir = scratch();
  {
    await using writer = ImageWriter.create(`${dir.path}/images`, {
      sync: () => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" })),
    });
    await rejects(writer.commit(INVENTORY_ENTRY), {
      code: "io",
      errno: "ENOSPC",
      message: `cannot write ${writer.path} to the disk: ENOSPC`,
    });
  }
  deepEqual(names(dir.path), []);
});

Deno.test("ImageWriter takes the place of an empty directory", async () => {
  using dir = scratch();
  const target = `${dir.path}/images`;
  Deno.mkdirSync(target);
  await using writer = ImageWriter.create(target);
  await writer.commit(INVENTORY_ENTRY);
  deepEqual(names(target), ["inventory.img", "manifest.img"]);
  deepEqual(names(dir.path), ["images"]);
});

Deno.test("ImageWriter.create() refuses what exists", () => {
  using dir = scratch();
  Deno.writeTextFileSync(`${dir.path}/file`, "");
  throws(() => ImageWriter.create(dir.path), {
    code: "exists",
    message: `the directory ${dir.path} exists and is not empty`,
    hint: "name a directory that does not exist yet, or an empty one",
  });
  throws(() => ImageWriter.create(`${dir.path}/file`), {
    code: "exists",
    message: `${dir.path}/file exists and is not a directory`,
  });
  Deno.symlinkSync("/tmp", `${dir.path}/link`);
  throws(() => ImageWriter.create(`${dir.path}/link`), { code: "exists" });
});

Deno.test("ImageWriter.create() says why it cannot write there", () => {
  using dir = scratch();
  Deno.writeTextFileSync(`${dir.path}/file`, "");
  throws(() => ImageWriter.create(`${dir.path}/missing/images`), {
    code: "io",
    errno: "ENOENT",
    message: /^cannot create .*\/missing\/\.images\.partial-[0-9a-f]{16}: ENOENT$/,
    hint: "create the directory that it should stand in first",
  });
  throws(() => ImageWriter.create(`${dir.path}/file/images`), { code: "io", errno: "ENOTDIR" });
  throws(() => ImageWriter.create("/"), { code: "exists" });
});

Deno.test("ImageWriter.commit() does not replace what came to be at the target", async () => {
  using dir = scratch();
  await using writer = ImageWriter.create(`${dir.path}/images`);
  Deno.mkdirSync(`${dir.path}/images/theirs`, { recursive: true });
  await rejects(writer.commit(INVENTORY_ENTRY), {
    code: "exists",
    message: `the directory ${dir.path}/images exists and is not empty`,
  });
  deepEqual(names(`${dir.path}/images`), ["theirs"]);
});

Deno.test("ImageWriter refuses to write an image twice, and after the end", async () => {
  using dir = scratch();
  await using writer = ImageWriter.create(`${dir.path}/images`);
  writer.writeList(PSTREE, null, TREE);
  throws(() => writer.writeList(PSTREE, null, TREE), {
    code: "internal",
    message: "the image pstree.img was written twice",
  });
  throws(() => writer.append(PSTREE, null, TREE[0]!), {
    message: "the image pstree.img was written twice",
  });
  await writer.commit(INVENTORY_ENTRY);
  throws(() => writer.writeList(FILES, null, []), {
    code: "internal",
    message: `the image directory ${dir.path}/images is finished already`,
  });
  await rejects(writer.commit(INVENTORY_ENTRY), { code: "internal" });
});

Deno.test("ImageWriter.append() writes long lists in the order of the calls", async () => {
  using dir = scratch();
  await using writer = ImageWriter.create(`${dir.path}/images`);
  for (let i = 0; i < 300; i++) {
    writer.append(PIPES_DATA, null, { pipeId: i, bytes: 4000 }, new Uint8Array(4000).fill(i));
  }
  await writer.commit(INVENTORY_ENTRY);
  const entries = ImageDirectory.open(writer.target).readEntries(PIPES_DATA, null);
  deepEqual(
    entries.map(({ message, extra }) => [message.pipeId, extra?.[3999]]),
    Array.from({ length: 300 }, (_, i) => [i, i & 0xff]),
  );
});

Deno.test("ImageWriter.write() takes kinds of one message only, append() the others", async () => {
  using dir = scratch();
  await using writer = ImageWriter.create(`${dir.path}/images`);
  // @ts-expect-error: a list is written with writeList() or append()
  writer.write(PSTREE, null, TREE[0]!);
  // @ts-expect-error: a core has an id
  throws(() => writer.write(CORE, null, { mtype: 1 }), { code: "internal" });
  throws(() => writer.append(PAGEMAP, 1, { vaddr: 0n, compatNrPages: 1 }), {
    message: "PAGEMAP images are written whole",
  });
});
