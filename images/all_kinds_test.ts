import { deepEqual, equal } from "@std/assert";
import { CRIU_KINDS, IMAGE_KINDS, OWN_KINDS } from "./all_kinds.ts";
import { imageFileName, imageIdOf } from "./kind.ts";
import { magicName, MAGICS } from "./magic.ts";
import { sampleId } from "./sample_messages.ts";

Deno.test("IMAGE_KINDS has one kind for each file name", () => {
  for (const kind of IMAGE_KINDS) {
    const name = imageFileName(kind, sampleId(kind));
    deepEqual(IMAGE_KINDS.filter((other) => imageIdOf(other, name) !== undefined), [kind], name);
  }
});

Deno.test("IMAGE_KINDS has CRIU's magics under CRIU's names, and others for our own", () => {
  for (const { name, magic } of CRIU_KINDS) equal(magicName(magic), name);
  for (const { name, magic } of OWN_KINDS) equal(magicName(magic), undefined, name);
});

Deno.test("MAGICS are all different, and each is of a kind", () => {
  equal(new Set(Object.values(MAGICS)).size, Object.keys(MAGICS).length);
  deepEqual(new Set(CRIU_KINDS.map(({ name }) => name)), new Set(Object.keys(MAGICS)));
});
