import { deepEqual, equal, ok, throws } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { StasisError } from "../base/errors.ts";
import { IMAGE_KINDS } from "./all_kinds.ts";
import { concat, decodeImage, encodeImage } from "./codec.ts";
import { fd_types } from "./gen/descriptors_pb.ts";
import { encodeGhostChunks } from "./ghost_chunks.ts";
import { defineImageKind, type ImageKind } from "./kind.ts";
import { CORE, INVENTORY, PSTREE } from "./kinds/core.ts";
import { EXTERNAL } from "./kinds/external.ts";
import { FILES, GHOST_FILE, PIPES_DATA } from "./kinds/files.ts";
import { PAGEMAP } from "./kinds/memory.ts";
import { sampleEntry, sampleMessage } from "./sample_messages.ts";

/** A whole file of a kind with every field of its messages set. */
function sampleFile(kind: ImageKind): Uint8Array {
  const entries = kind.list ? [sampleEntry(kind), sampleEntry(kind)] : [sampleEntry(kind)];
  const head = kind.head === undefined ? undefined : sampleMessage(kind.head);
  return encodeImage(kind, { head, entries });
}

/** A file from its u32 words and single bytes. */
function file(words: readonly number[], ...bytes: number[]): Uint8Array {
  return concat([new Uint8Array(new Uint32Array(words).buffer), new Uint8Array(bytes)]);
}

const COMMON = 0x54564319;

function refuses(kind: ImageKind, bytes: Uint8Array, message: string): void {
  throws(() => decodeImage(kind, bytes, "x.img"), { code: "bad-image", message });
}

Deno.test("decodeImage() gives back what encodeImage() took, for every kind", () => {
  for (const kind of IMAGE_KINDS) {
    const bytes = sampleFile(kind);
    const decoded = decodeImage(kind, bytes, "x.img");
    equal(decoded.entries.length, kind.list ? 2 : 1, kind.file);
    deepEqual(decoded.entries[0], sampleEntry(kind), kind.file);
    deepEqual(encodeImage(kind, decoded), bytes, kind.file);
  }
});

Deno.test("decodeImage() and encodeImage() keep fields that the schema does not know", () => {
  // pstree_entry with all required fields, then field 100 = 5.
  const bytes = file([COMMON, 0x50273030, 11], 8, 1, 16, 0, 24, 1, 32, 1, 0xa0, 0x06, 5);
  deepEqual(encodeImage(PSTREE, decodeImage(PSTREE, bytes, "x.img")), bytes);
});

Deno.test("decodeImage() and encodeImage() keep an open file of a type without a schema", () => {
  // A file_entry of type TUNF with id 7 and its member tunf (11): a message whose fields nobody knows here.
  const bytes = file([COMMON, 0x56303138, 10], 8, 15, 16, 7, 0x5a, 4, 8, 7, 16, 9);
  const image = decodeImage(FILES, bytes, "x.img");
  const { type, id } = image.entries[0]!.message;
  deepEqual([type, id], [fd_types.TUNF, 7]);
  deepEqual(encodeImage(FILES, image), bytes);
});

// Made by `crit encode` of Debian's criu 3.17.1 out of the JSON that the tests' values say.
const CRIT_FILES = [
  "194356543831305632000000080110031a2c0803108280021880a0808080808080012a0a080010001800200028",
  "0032082f746d702f6c6f67381750a483021b000000080610044215080410021a0d08e80710e807181d200128e7",
  "242000",
].join("");

Deno.test("decodeImage() and encodeImage() agree with crit byte for byte", () => {
  const bytes = Uint8Array.fromHex(CRIT_FILES);
  const image = decodeImage(FILES, bytes, "files.img");
  equal(image.entries.length, 2);
  const { reg } = image.entries[0]!.message;
  deepEqual([reg?.flags, reg?.pos, reg?.name, reg?.mntId, reg?.mode], [
    0o100002,
    72057594037932032n,
    "/tmp/log",
    -12,
    0o100644,
  ]);
  const { efd } = image.entries[1]!.message;
  deepEqual([efd?.fown?.uid, efd?.fown?.signum, efd?.fown?.pid, efd?.counter], [
    1000,
    29,
    4711,
    0n,
  ]);
  deepEqual(encodeImage(FILES, image), bytes);
});

Deno.test("encodeImage() begins a file as CRIU does", () => {
  const start = (kind: ImageKind) => [...new Uint32Array(sampleFile(kind).slice(0, 8).buffer)];
  deepEqual(start(CORE), [0x54564319, 0x55053847]);
  equal(start(INVENTORY)[0], 0x58313116);
});

Deno.test("encodeImage() refuses a message without a required field", () => {
  throws(() => encodeImage(INVENTORY, { entries: [{ message: {} as never }] }), {
    code: "internal",
    message:
      "A message for an image of kind INVENTORY is wrong: cannot encode field inventory_entry.img_version to binary: required field not set",
  });
});

Deno.test("encodeImage() refuses an extra that is not what the message announces", () => {
  const { message } = sampleEntry(PIPES_DATA);
  throws(() => encodeImage(PIPES_DATA, { entries: [{ message, extra: new Uint8Array(4) }] }), {
    code: "internal",
    message: "the 4 bytes to follow a pipe_data_entry are not what the message announces",
  });
  throws(
    () => encodeImage(PSTREE, { entries: [{ ...sampleEntry(PSTREE), extra: new Uint8Array() }] }),
    { code: "internal", message: "PSTREE images have no extra" },
  );
});

Deno.test("decodeImage() says where the head is cut", () => {
  refuses(
    CORE,
    file([]),
    "x.img is damaged at byte 0: the head of a CORE image is cut after 0 bytes",
  );
  refuses(
    INVENTORY,
    file([], 1, 2, 3),
    "x.img is damaged at byte 0: the head of an INVENTORY image is cut after 3 bytes",
  );
  refuses(
    CORE,
    file([COMMON], 1, 2, 3),
    "x.img is damaged at byte 4: the head of a CORE image is cut after 7 bytes",
  );
});

Deno.test("decodeImage() names the magic that it expected and the one that it found", () => {
  refuses(
    CORE,
    file([0x464c457f]),
    "x.img is damaged at byte 0: expected the magic 0x54564319 (common to all images), found 0x464c457f",
  );
  refuses(
    CORE,
    sampleFile(PSTREE),
    "x.img is damaged at byte 4: expected the magic 0x55053847 (CORE), found 0x50273030 (PSTREE)",
  );
  refuses(
    INVENTORY,
    sampleFile(CORE),
    "x.img is damaged at byte 0: expected the magic 0x58313116 (INVENTORY), found 0x54564319 (common to all images)",
  );
});

Deno.test("decodeImage() refuses an image of one message that has none, or more", () => {
  refuses(
    CORE,
    sampleFile(CORE).subarray(0, 8),
    "x.img is damaged at byte 8: it ends where a core_entry must begin",
  );
  refuses(
    PAGEMAP,
    sampleFile(PAGEMAP).subarray(0, 8),
    "x.img is damaged at byte 8: it ends where a pagemap_head must begin",
  );
  const one = file([0x58313116, 2], 8, 2);
  equal(decodeImage(INVENTORY, one, "x.img").entries[0]!.message.imgVersion, 2);
  refuses(
    INVENTORY,
    concat([one, new Uint8Array(3)]),
    "x.img is damaged at byte 10: 3 bytes follow the one inventory_entry that it holds",
  );
});

Deno.test("decodeImage() refuses sizes that the file does not have", () => {
  refuses(
    PSTREE,
    file([COMMON, 0x50273030], 1, 0),
    "x.img is damaged at byte 8: expected the size of a pstree_entry (4 bytes), found the last 2",
  );
  refuses(
    PSTREE,
    file([COMMON, 0x50273030, 0xffffffff], 8, 1),
    "x.img is damaged at byte 8: a pstree_entry should be 4294967295 bytes long, but 2 are left",
  );
});

Deno.test("decodeImage() refuses bytes that are no message", () => {
  const bytes = file([COMMON, 0x50273030, 2], 8, 0xff);
  throws(() => decodeImage(PSTREE, bytes, "x.img"), {
    code: "bad-image",
    message: /^x\.img is damaged at byte 12: what should be a pstree_entry is none \(.+\)$/,
  });
});

Deno.test("decodeImage() misses required fields at every depth", () => {
  refuses(
    PSTREE,
    file([COMMON, 0x50273030, 6], 8, 1, 16, 0, 32, 1),
    "x.img is damaged at byte 12: the pstree_entry lacks its required field pgid",
  );
  // A file_entry whose reg has an id only.
  refuses(
    FILES,
    file([COMMON, 0x56303138, 8], 8, 1, 16, 3, 0x1a, 2, 8, 3),
    "x.img is damaged at byte 12: the reg_file_entry lacks its required field flags",
  );
});

Deno.test("encodeImage() and decodeImage() keep the bytes of names that are no UTF-8", () => {
  const named = (name: string) =>
    encodeImage(EXTERNAL, {
      entries: [{ message: create(EXTERNAL.schema, { id: 1, name, flags: 0 }) }],
    });
  throws(() => named("a\0b"), {
    code: "internal",
    message: 'A message for an image of kind EXTERNAL is wrong: "a\\u0000b" has a zero in it',
  });
  const cut = named("abc");
  cut[cut.indexOf(0x62)] = 0;
  refuses(
    EXTERNAL,
    cut,
    "x.img is damaged at byte 12: the external_entry has text with a zero in it",
  );
  const latin = named("abc");
  latin[latin.indexOf(0x62)] = 0xe9;
  const { name } = decodeImage(EXTERNAL, latin, "x.img").entries[0]!.message;
  equal(name, "a\udce9c");
  deepEqual(named(name), latin);
  // Longer than what the library's own encoder would leave room for.
  const long = "\ufffd\udc80ü".repeat(5000);
  equal(decodeImage(EXTERNAL, named(long), "x.img").entries[0]!.message.name, long);
  throws(() => named("a\ud800"), { code: "internal", message: /stands for no bytes$/ });
});

Deno.test("decodeImage() takes a required field that is zero", () => {
  const bytes = file([COMMON, 0x50273030, 8], 8, 0, 16, 0, 24, 0, 32, 0);
  equal(decodeImage(PSTREE, bytes, "x.img").entries[0]!.message.pid, 0);
});

Deno.test("decodeImage() refuses extras that are cut or have another form", () => {
  const pipe = file([COMMON, 0x56453709, 4], 8, 1, 16, 9, 1, 2, 3);
  refuses(
    PIPES_DATA,
    pipe,
    "x.img is damaged at byte 16: 9 bytes should follow the pipe_data_entry, but 3 are left",
  );
  const { message } = sampleEntry(GHOST_FILE);
  const whole = encodeImage(GHOST_FILE, {
    entries: [{
      message: { ...message, chunks: true },
      extra: encodeGhostChunks([{ offset: 0n, data: new Uint8Array(9) }]),
    }],
  });
  throws(() => decodeImage(GHOST_FILE, whole.subarray(0, -1), "x.img"), {
    code: "bad-image",
    message: /: what follows the ghost_file_entry does not have the form that it announces$/,
  });
});

Deno.test("decodeImage() ends in a value or a bad-image wherever any file is cut", () => {
  for (const kind of IMAGE_KINDS) {
    const bytes = sampleFile(kind);
    let values = 0;
    for (let length = 0; length < bytes.length; length++) {
      try {
        decodeImage(kind, bytes.subarray(0, length), "x.img");
        values++;
      } catch (error) {
        ok(error instanceof StasisError && error.code === "bad-image", String(error));
      }
    }
    // Whole frames are left only where there are several; what follows a ghost ends with the file.
    const most = kind.name === "GHOST_FILE" ? sampleEntry(kind).extra!.length : kind.list ? 2 : 0;
    ok(values <= most, `${values} cuts of ${kind.file} went unnoticed`);
  }
});

Deno.test("decodeImage() ends in a value or a bad-image whichever byte is changed", () => {
  for (const kind of IMAGE_KINDS) {
    const bytes = sampleFile(kind);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at]! ^= at % 2 === 0 ? 0x81 : 0xff;
      try {
        decodeImage(kind, damaged, "x.img");
      } catch (error) {
        ok(error instanceof StasisError && error.code === "bad-image", String(error));
      }
    }
  }
});

Deno.test("decodeImage() does not run out of stack where unknown groups hold each other", () => {
  // The start of field 15 as a group, again and again.
  const bytes = new Uint8Array(200_000).fill(15 << 3 | 3);
  throws(
    () => decodeImage(PSTREE, concat([file([COMMON, 0x50273030, bytes.length]), bytes]), "x"),
    {
      code: "bad-image",
      message: /is none \(/,
    },
  );
});

Deno.test("encodeImage() works for a kind that a plugin defines", () => {
  const mine = defineImageKind({
    name: "MINE",
    file: "mine-%u.img",
    magic: 0x12345678,
    schema: PSTREE.schema,
    list: true,
    extra: { length: (tree) => tree.pid },
  });
  const bytes = encodeImage(mine, {
    entries: [{
      message: { ...sampleEntry(PSTREE).message, pid: 3 },
      extra: new Uint8Array([1, 2, 3]),
    }],
  });
  deepEqual(decodeImage(mine, bytes, "x").entries[0]!.extra, new Uint8Array([1, 2, 3]));
  equal(bytes.at(-1), 3);
});
