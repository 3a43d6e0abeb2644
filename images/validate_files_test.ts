import assert from "@std/assert";
import { create } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fd_types, fdinfo_entrySchema, file_entrySchema } from "./gen/descriptors_pb.ts";
import { NO_OWNER } from "./fown.ts";
import { StasisError } from "../base/errors.ts";
import { validateDescriptors, validFiles } from "./validate_files.ts";

const reg = (id: number, inner = id) => ({
  type: fd_types.REG,
  id,
  reg: { id: inner, flags: 0, pos: 0n, fown: NO_OWNER, name: "/x" },
});
const pipe = (id: number, inner = id) => ({
  type: fd_types.PIPE,
  id,
  pipe: { id: inner, pipeId: 5, flags: 0, fown: NO_OWNER },
});

function files(...entries: MessageInitShape<typeof file_entrySchema>[]) {
  return validFiles(entries.map((entry) => create(file_entrySchema, entry)), "files.img");
}

function refused(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof StasisError && error.code === "bad-image") return error.message;
    throw error;
  }
  throw new Error("it was taken");
}

Deno.test("validFiles() gives entries by id, those of unknown types too", () => {
  const all = files(reg(1), pipe(9), { type: fd_types.TUNF, id: 3 });
  assert.deepEqual([...all.keys()], [1, 9, 3]);
});

Deno.test("validFiles() refuses entries that contradict themselves", () => {
  assert.equal(
    refused(() => files(reg(1), pipe(2, 3))),
    "files.img has file 2 of type PIPE, which has the id 3 inside",
  );
  assert.equal(refused(() => files(reg(4), reg(4))), "files.img has file 4 twice");
  assert.match(refused(() => files({ type: fd_types.UNIXSK, id: 3 })), /without what it is/);
  assert.match(
    refused(() => files({ type: fd_types.REG, id: 3, reg: reg(3).reg, pipe: pipe(3).pipe })),
    /of another type \(pipe\)/,
  );
  assert.match(
    refused(() => files({ ...reg(3), type: fd_types.TUNF })),
    /another type \(reg\)/,
  );
});

Deno.test("validFiles() knows every member that an entry can have", () => {
  for (
    const { kind, name, localName } of file_entrySchema.fields.map((field) => ({
      kind: field.fieldKind,
      name: field.name,
      localName: field.localName,
    }))
  ) {
    if (kind !== "message" || name === "fown") continue;
    const entry = { type: fd_types.TUNF, id: 3, [localName]: { id: 3 } };
    assert.match(refused(() => files(entry)), new RegExp(`of another type \\(${localName}\\)`));
  }
});

Deno.test("validateDescriptors() refuses numbers that are there twice, or none", () => {
  const table = (...numbers: number[]) =>
    numbers.map((fd) => create(fdinfo_entrySchema, { id: 1, flags: 0, type: fd_types.REG, fd }));
  validateDescriptors(table(2, 0, 0x7fffffff), "fdinfo-1.img");
  assert.equal(
    refused(() => validateDescriptors(table(2, 0, 2), "fdinfo-1.img")),
    "fdinfo-1.img has descriptor 2 twice",
  );
  assert.match(
    refused(() => validateDescriptors(table(0x80000000), "fdinfo-1.img")),
    /the impossible descriptor 2147483648/,
  );
});
