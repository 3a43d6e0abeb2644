import { deepEqual, equal, ok, throws } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { concat, encodeHead, encodeImage, encodeMessage } from "./codec.ts";
import { ImageDirectory } from "./directory.ts";
import { CORE, INVENTORY, PSTREE } from "./kinds/core.ts";
import { FILES, PIPES_DATA } from "./kinds/files.ts";
import { MANIFEST } from "./kinds/manifest.ts";
import { PAGEMAP, PAGES, SHMEM_PAGEMAP } from "./kinds/memory.ts";
import { sampleEntry } from "./sample_messages.ts";

/** A directory with these files, that is deleted in the end. */
function scratch(
  files: Readonly<Record<string, Uint8Array>>,
): { readonly path: string; [Symbol.dispose](): void } {
  const path = Deno.makeTempDirSync({ prefix: "stasis-images-" });
  for (const [name, bytes] of Object.entries(files)) Deno.writeFileSync(`${path}/${name}`, bytes);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

const EMPTY = new Uint8Array();

Deno.test("ImageDirectory.open() says what is not an image directory", () => {
  using dir = scratch({ "core-1.img": EMPTY });
  throws(() => ImageDirectory.open(`${dir.path}/nothing`), {
    code: "bad-image",
    message: `there is no image directory ${dir.path}/nothing`,
  });
  throws(() => ImageDirectory.open(`${dir.path}/core-1.img`), {
    code: "bad-image",
    message: `${dir.path}/core-1.img is not a directory`,
  });
  throws(() => ImageDirectory.open(dir.path), {
    code: "bad-image",
    message: `${dir.path} is not an image directory: it has no inventory.img`,
    hint:
      "the inventory is written last: the checkpoint did not finish, or this is another directory",
  });
});

Deno.test("ImageDirectory.open() knows what an interrupted checkpoint leaves", () => {
  using dir = scratch({});
  const partial = `${dir.path}/.images.partial-0123abcd0123abcd`;
  Deno.mkdirSync(partial);
  throws(() => ImageDirectory.open(partial), {
    code: "bad-image",
    hint: "a checkpoint is writing it, or was killed: the next one beside it deletes it then",
  });
});

Deno.test("ImageDirectory.ids() lists the images of a kind by number", () => {
  using dir = scratch({
    "inventory.img": EMPTY,
    "core-9.img": EMPTY,
    "core-10.img": EMPTY,
    "core-010.img": EMPTY,
    "core-x.img": EMPTY,
    "pagemap-3.img": EMPTY,
    "pagemap-shmem-18446744073709551615.img": EMPTY,
  });
  const images = ImageDirectory.open(dir.path);
  deepEqual(images.ids(CORE), [9, 10]);
  deepEqual(images.ids(PAGEMAP), [3]);
  deepEqual(images.ids(SHMEM_PAGEMAP), [0xffff_ffff_ffff_ffffn]);
  deepEqual(images.ids(INVENTORY), [null]);
  deepEqual(images.ids(PSTREE), []);
  ok(images.has(CORE, 10));
  ok(!images.has(CORE, 11));
  ok(!images.has(PAGES, 1));
});

Deno.test("ImageDirectory.read() names the file that is missing, damaged or none", () => {
  using dir = scratch({ "inventory.img": new Uint8Array(3) });
  Deno.mkdirSync(`${dir.path}/core-1.img`);
  const images = ImageDirectory.open(dir.path);
  throws(() => images.read(CORE, 2), {
    code: "bad-image",
    message: `the image core-2.img is missing from ${dir.path}`,
  });
  throws(() => images.readList(FILES, null), {
    message: `the image files.img is missing from ${dir.path}`,
  });
  throws(() => images.read(CORE, 1), {
    code: "bad-image",
    message: `${dir.path}/core-1.img is not a file`,
  });
  throws(() => images.read(INVENTORY, null), {
    code: "bad-image",
    message:
      `${dir.path}/inventory.img is damaged at byte 0: the head of an INVENTORY image is cut after 3 bytes`,
  });
});

Deno.test("ImageDirectory reads of files that are larger than memory only what it needs", () => {
  using dir = scratch({
    "inventory.img": EMPTY,
    "pstree.img": encodeHead(PSTREE),
    "pagemap-1.img": encodeHead(PAGEMAP),
    "pipes-data.img": concat([encodeHead(PIPES_DATA), Uint8Array.of(0xff, 0xff, 0xff, 0x7f)]),
  });
  for (const name of ["inventory", "pstree", "pagemap-1", "pipes-data"]) {
    Deno.truncateSync(`${dir.path}/${name}.img`, 2 ** 40); // the rest are zeros
  }
  const images = ImageDirectory.open(dir.path);
  throws(() => images.read(INVENTORY, null), { code: "bad-image" });
  throws(() => images.readList(PSTREE, null), { code: "bad-image" });
  throws(() => images.readPagemap(PAGEMAP, 1), { code: "bad-image" });
  throws(() => images.locate(PIPES_DATA, null), { code: "bad-image" });
});

Deno.test("ImageDirectory.locate() finds what lies behind gigabytes", () => {
  const LARGE = 3 * 2 ** 30;
  const message = (pipeId: number, bytes: number) =>
    encodeMessage("", PIPES_DATA.schema, create(PIPES_DATA.schema, { pipeId, bytes, size: 4096 }));
  const head = concat([encodeHead(PIPES_DATA), message(7, LARGE)]);
  using dir = scratch({ "inventory.img": EMPTY, "pipes-data.img": head });
  const path = `${dir.path}/pipes-data.img`;
  Deno.truncateSync(path, head.length + LARGE);
  const last = message(8, 3);
  Deno.writeFileSync(path, concat([last, Uint8Array.of(1, 2, 3)]), { append: true });
  const found = ImageDirectory.open(dir.path).locate(PIPES_DATA, null);
  deepEqual(found.map(({ message: { pipeId }, offset, size }) => [pipeId, offset, size]), [
    [7, head.length, LARGE],
    [8, head.length + LARGE + last.length, 3],
  ]);
});

Deno.test("ImageDirectory.read() decodes a file once", () => {
  const entries = [sampleEntry(PSTREE)];
  using dir = scratch({ "inventory.img": EMPTY, "pstree.img": encodeImage(PSTREE, { entries }) });
  const images = ImageDirectory.open(dir.path);
  const first = images.readList(PSTREE, null)[0];
  deepEqual(first, entries[0]!.message);
  Deno.removeSync(`${dir.path}/pstree.img`);
  equal(images.readList(PSTREE, null)[0], first);
});

Deno.test("ImageDirectory.verify() names an image that is missing or was cut", () => {
  const manifest = encodeImage(MANIFEST, {
    entries: [{ message: create(MANIFEST.schema, { name: "pstree.img", size: 3n }) }],
  });
  const inventory = EMPTY;
  using whole = scratch({
    "inventory.img": inventory,
    "manifest.img": manifest,
    "pstree.img": new Uint8Array(3),
  });
  ImageDirectory.open(whole.path).verify();
  Deno.writeFileSync(`${whole.path}/pstree.img`, new Uint8Array(2));
  throws(() => ImageDirectory.open(whole.path).verify(), {
    code: "bad-image",
    message: `the image pstree.img in ${whole.path} has 2 bytes, but was written with 3`,
  });
  Deno.removeSync(`${whole.path}/pstree.img`);
  throws(() => ImageDirectory.open(whole.path).verify(), {
    code: "bad-image",
    message: `the image pstree.img is missing from ${whole.path}`,
  });
});

Deno.test("ImageDirectory.verify() believes a directory without a manifest, and none of an empty one", () => {
  using criu = scratch({ "inventory.img": EMPTY });
  ImageDirectory.open(criu.path).verify();
  using cut = scratch({
    "inventory.img": EMPTY,
    "manifest.img": encodeImage(MANIFEST, { entries: [] }),
  });
  throws(() => ImageDirectory.open(cut.path).verify(), { code: "bad-image" });
});

Deno.test("ImageDirectory.forget() has what it had read of an id read again, and nothing else", () => {
  const core = encodeImage(CORE, { entries: [{ message: sampleEntry(CORE).message }] });
  using dir = scratch({ "inventory.img": EMPTY, "core-1.img": core, "core-2.img": core });
  const images = ImageDirectory.open(dir.path);
  const [one, two] = [images.read(CORE, 1), images.read(CORE, 2)];
  equal(images.read(CORE, 1), one);
  images.forget(1);
  ok(images.read(CORE, 1) !== one);
  deepEqual(images.read(CORE, 1), one);
  equal(images.read(CORE, 2), two);
});
