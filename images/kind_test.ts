import { deepEqual, equal, throws } from "@std/assert";
import { siginfo_entrySchema } from "./gen/signals_pb.ts";
import { defineImageKind, defineRawImageKind, imageFileName, imageIdOf } from "./kind.ts";

const kind = <const File extends string>(file: File) =>
  defineImageKind({ name: "MINE", file, magic: 1, schema: siginfo_entrySchema });

Deno.test("imageFileName() puts the id where the template has it", () => {
  equal(imageFileName(kind("a-%u.img"), 4294967295), "a-4294967295.img");
  equal(imageFileName(kind("a-%x.img"), 0xabc), "a-abc.img");
  equal(imageFileName(kind("a-%lu.img"), 18446744073709551615n), "a-18446744073709551615.img");
  equal(imageFileName(kind("a.img"), null), "a.img");
  equal(imageFileName(defineRawImageKind({ name: "RAW", file: "r-%u" }), 3), "r-3");
  equal(imageFileName(kind("parent/a-%u.img"), 17), "parent/a-17.img");
});

Deno.test("imageFileName() refuses an id that the template does not take", () => {
  const wrong: [string, number | bigint | string | null][] = [
    ["a-%u.img", null],
    ["a-%u.img", -1],
    ["a-%u.img", 1.5],
    ["a-%u.img", 2 ** 32],
    ["a-%lu.img", 5],
    ["a-%lu.img", 1n << 64n],
    ["a.img", 5],
  ];
  for (const [file, id] of wrong) {
    throws(() => imageFileName(kind(file), id as null), {
      code: "internal",
      message: `${id} is no id for an image of kind MINE`,
    });
  }
});

Deno.test("imageIdOf() is the inverse of imageFileName()", () => {
  equal(imageIdOf(kind("a-%u.img"), "a-17.img"), 17);
  equal(imageIdOf(kind("a-%x.img"), "a-ff.img"), 255);
  equal(imageIdOf(kind("a-%lu.img"), "a-17.img"), 17n);
  equal(imageIdOf(kind("a.img"), "a.img"), null);
  equal(imageIdOf(kind("parent/a-%u.img"), "parent/a-17.img"), 17);
  equal(imageIdOf(kind("a-%u.img"), "parent/a-17.img"), undefined);
});

Deno.test("imageIdOf() takes no other spelling and no other file", () => {
  for (const name of ["a-017.img", "a-.img", "a-4294967296.img", "a-1.imgx", "b-1.img", "a-1"]) {
    equal(imageIdOf(kind("a-%u.img"), name), undefined, name);
  }
  equal(imageIdOf(kind("a-%x.img"), "a-FF.img"), undefined);
  equal(imageIdOf(kind("a-%lu.img"), "a-18446744073709551616.img"), undefined);
  equal(imageIdOf(kind("a-%u-a.img"), "a-a.img"), undefined);
});

Deno.test("defineImageKind() refuses file names and magics that cannot be", () => {
  for (
    const file of [
      "../a.img",
      "a/%u.img",
      "parent/../a.img",
      "parent/parent/a.img",
      "a-%u-%u.img",
      "a-%d.img",
      "",
    ]
  ) {
    throws(() => kind(file), {
      code: "internal",
      message: `image kind MINE has the impossible file name "${file}"`,
    });
  }
  for (const magic of [0, -1, 2 ** 32, 0.5]) {
    throws(
      () => defineImageKind({ name: "MINE", file: "a", magic, schema: siginfo_entrySchema }),
      { code: "internal", message: "the magic of image kind MINE is not a u32" },
    );
  }
});

Deno.test("defineImageKind() means a common prefix and one message unless told otherwise", () => {
  const { prefix, list } = kind("a.img");
  deepEqual({ prefix, list }, { prefix: "common", list: false });
});
