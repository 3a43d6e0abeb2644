import { deepEqual, equal } from "@std/assert";
import { imageFileName } from "./kind.ts";
import { PAGEMAP, PAGES, SHMEM_PAGEMAP } from "./kinds/memory.ts";
import { magicName, MAGICS } from "./magic.ts";
import { IMAGE_KINDS, kindOfFile, RAW_IMAGE_KINDS } from "./registry.ts";
import { sampleId } from "./sample_messages.ts";

Deno.test("IMAGE_KINDS has one kind for each file name", () => {
  for (const kind of IMAGE_KINDS) {
    const name = imageFileName(kind, sampleId(kind));
    deepEqual(
      IMAGE_KINDS.filter((other) => kindOfFile(name, [other]) !== undefined),
      [kind],
      name,
    );
  }
});

Deno.test("IMAGE_KINDS has CRIU's magics under CRIU's names, and others for our own", () => {
  for (const { name, magic } of IMAGE_KINDS) {
    if (["SUD", "EXTERNAL", "MM_EXTRA"].includes(name)) equal(magicName(magic), undefined);
    else equal(magicName(magic), name);
  }
});

Deno.test("MAGICS are all different", () => {
  equal(new Set(Object.values(MAGICS)).size, Object.keys(MAGICS).length);
});

Deno.test("kindOfFile() tells what a file is by its name", () => {
  equal(kindOfFile("pagemap-17.img", IMAGE_KINDS), PAGEMAP);
  equal(kindOfFile("pagemap-shmem-17.img", IMAGE_KINDS), SHMEM_PAGEMAP);
  equal(kindOfFile("pages-1.img", RAW_IMAGE_KINDS), PAGES);
  equal(kindOfFile("core.1234", IMAGE_KINDS), undefined);
});
