import { deepEqual, equal, match, throws } from "@std/assert";
import type { StasisError } from "../base/errors.ts";
import { ImageDirectory } from "./directory.ts";
import { IMAGES_VERSION } from "./kinds/core.ts";
import { PAGEMAP, PAGES, PARENT_PAGEMAP, PARENT_PAGES } from "./kinds/memory.ts";
import { checkpointsOf, directoriesOf, layersOf, MOST_CHECKPOINTS, stateSum } from "./layers.ts";
import { INVENTORY_FILE, PARENT, relativePath } from "./parent.ts";
import { PE_PARENT, PE_PRESENT } from "./pagemap.ts";
import { ImageWriter } from "./writer.ts";

/** A directory for image directories that goes with its scope. */
class Home implements Disposable {
  readonly path = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "stasis-layers-" }));

  at(name: string): string {
    return `${this.path}/${name}`;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Writes images with one page, which is in those before where some are named, and with an inner parent if wanted. */
async function write(home: Home, name: string, before?: string, inner = false): Promise<string> {
  await using writer = ImageWriter.create(home.at(name));
  const entries = [{
    vaddr: 0x1000n,
    nrPages: 1,
    flags: before === undefined ? PE_PRESENT : PE_PARENT,
  }];
  writer.writePagemap(PAGEMAP, 1, { pagesId: 1, entries });
  Deno.writeFileSync(writer.createRaw(PAGES, 1), new Uint8Array(4096));
  if (inner) {
    writer.writePagemap(PARENT_PAGEMAP, 1, { pagesId: 1, entries });
    Deno.writeFileSync(writer.createRaw(PARENT_PAGES, 1), new Uint8Array(4096));
  }
  if (before !== undefined) {
    const images = ImageDirectory.open(home.at(before));
    writer.linkParent(images.path, stateSum(images) as number);
  }
  const dumpUptime = BigInt([...name].reduce((sum, letter) => 31 * sum + letter.charCodeAt(0), 0));
  await writer.commit({ imgVersion: IMAGES_VERSION, dumpUptime });
  return home.at(name);
}

/** Why images cannot be used. */
function refusal(directory: string): string {
  let message = "";
  throws(() => layersOf(ImageDirectory.open(directory)), (error: StasisError) => {
    equal(error.code, "bad-image", error.message);
    message = error.message;
    return true;
  });
  return message;
}

Deno.test("directoriesOf() names what a checkpoint needs, itself first", async () => {
  using home = new Home();
  await write(home, "a");
  await write(home, "b", "a");
  await write(home, "c", "b");
  deepEqual(directoriesOf(home.at("c")), [home.at("c"), home.at("b"), home.at("a")]);
  deepEqual(directoriesOf(home.at("a")), [home.at("a")]);
  equal(Deno.readLinkSync(`${home.at("c")}/${PARENT}`), "../b");
});

Deno.test("layersOf() has the inner parent between a checkpoint and the one before", async () => {
  using home = new Home();
  await write(home, "a", undefined, true);
  await write(home, "b", "a", true);
  const layers = layersOf(ImageDirectory.open(home.at("b")));
  deepEqual(
    layers.map(({ images, inner }) => [images.path, inner]),
    [[home.at("b"), false], [home.at("b"), true], [home.at("a"), false], [home.at("a"), true]],
  );
  equal(Deno.readLinkSync(`${home.at("b")}/${PARENT}/${PARENT}`), "../../a");
  // What belongs to the checkpoint before is in its own manifest.
  const names = ImageDirectory.open(home.at("b")).fileNames;
  deepEqual(names.filter((name) => name.startsWith(PARENT)), [
    "parent/pagemap-1.img",
    "parent/pages-1.img",
  ]);
});

Deno.test("layersOf() finds checkpoints that were moved or copied together", async () => {
  using home = new Home();
  await write(home, "a");
  await write(home, "b", "a");
  Deno.mkdirSync(home.at("other"));
  Deno.renameSync(home.at("a"), home.at("other/a"));
  Deno.renameSync(home.at("b"), home.at("other/b"));
  deepEqual(directoriesOf(home.at("other/b")), [home.at("other/b"), home.at("other/a")]);
  // As `cp -RL` does it.
  Deno.removeSync(`${home.at("other/b")}/${PARENT}`);
  Deno.renameSync(home.at("other/a"), `${home.at("other/b")}/${PARENT}`);
  deepEqual(directoriesOf(home.at("other/b")), [home.at("other/b"), home.at("other/b/parent")]);
});

Deno.test("layersOf() refuses a parent that is gone, is no checkpoint, or is another one", async () => {
  using home = new Home();
  await write(home, "a");
  await write(home, "b", "a");
  Deno.renameSync(home.at("a"), home.at("c"));
  match(refusal(home.at("b")), /the parent of .*\/b is not there: parent leads to \.\.\/a$/);
  Deno.mkdirSync(home.at("a"));
  match(refusal(home.at("b")), /cannot be used: .*\/a is not an image directory/);
  Deno.removeSync(home.at("a"));
  await write(home, "a");
  await write(home, "d");
  equal(directoriesOf(home.at("b")).length, 2, "the same again");
  Deno.removeSync(home.at("a"), { recursive: true });
  Deno.renameSync(home.at("d"), home.at("a"));
  match(refusal(home.at("b")), /\/a, is another checkpoint than the one that it was made after$/);
});

Deno.test("layersOf() refuses a parent that has changed since", async () => {
  using home = new Home();
  await write(home, "a");
  await write(home, "b", "a");
  Deno.truncateSync(`${home.at("a")}/pages-1.img`, 100);
  match(refusal(home.at("b")), /cannot be used: the image pages-1.img .* has 100 bytes, but/);
  Deno.removeSync(`${home.at("a")}/manifest.img`);
  match(refusal(home.at("b")), /\/a, has lost its manifest/);
});

Deno.test("layersOf() refuses circles and chains without an end", async () => {
  using home = new Home();
  await write(home, "a");
  Deno.symlinkSync(".", `${home.at("a")}/${PARENT}`);
  match(refusal(home.at("a")), /lead in a circle, to .*\/a again$/);
  Deno.removeSync(`${home.at("a")}/${PARENT}`);
  Deno.symlinkSync(PARENT, `${home.at("a")}/${PARENT}`);
  match(refusal(home.at("a")), /cannot be found$/);
  // Of CRIU there is no manifest, and nothing says whose child is whose.
  for (let number = 0; number <= MOST_CHECKPOINTS; number++) {
    Deno.mkdirSync(home.at(`${number}`));
    Deno.copyFileSync(
      `${home.at("a")}/${INVENTORY_FILE}`,
      `${home.at(`${number}`)}/${INVENTORY_FILE}`,
    );
    if (number > 0) Deno.symlinkSync(`../${number - 1}`, `${home.at(`${number}`)}/${PARENT}`);
  }
  const longest = ImageDirectory.open(home.at(`${MOST_CHECKPOINTS - 1}`));
  equal(checkpointsOf(longest).length, MOST_CHECKPOINTS);
  match(refusal(home.at(`${MOST_CHECKPOINTS}`)), /has more than 127 parents$/);
});

Deno.test("relativePath() leads from one directory to another", () => {
  equal(relativePath("/a/b", "/a/c"), "../c");
  equal(relativePath("/a/b/parent", "/a/c"), "../../c");
  equal(relativePath("/a", "/a/b/c"), "b/c");
  equal(relativePath("/a/b", "/x"), "../../x");
  equal(relativePath("/a", "/a"), ".");
});
