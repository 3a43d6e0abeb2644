import { deepEqual, equal } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { FDINFO } from "../../images/kinds/files.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { fd_types, file_entrySchema } from "../../images/gen/descriptors_pb.ts";
import { ImageDirectory, ImageWriter } from "../../images/mod.ts";
import { O } from "../linux/fcntl.ts";
import { eventFiles, isLost } from "./event_files.ts";

const LARGEFILE = 0o100000, NO_EVENTS = 0x4000000, REPORT_FID = 0x200;
const S_IFREG = 0o100000, S_IFDIR = 0o040000;

const regular = (id: number, flags: number, pos = 0n) =>
  create(file_entrySchema, {
    id,
    type: fd_types.REG,
    reg: { id, flags, pos, fown: NO_OWNER, name: `/tmp/${id}` },
  });
const group = (id: number, faflags: number) =>
  create(file_entrySchema, {
    id,
    type: fd_types.FANOTIFY,
    ffy: { id, faflags, evflags: O.RDONLY | LARGEFILE | O.CLOEXEC, flags: 0, fown: NO_OWNER },
  });

/** The files of events of task 7, which has all of these by numbers in their order; task 8 has none but the regular ones. */
async function foundAmong(...files: ReturnType<typeof regular>[]): Promise<number[]> {
  const home = Deno.makeTempDirSync();
  try {
    await using writer = ImageWriter.create(`${home}/images`);
    const entry = ({ id, type }: (typeof files)[number], fd: number) => ({
      id,
      flags: 0,
      type,
      fd,
    });
    writer.writeList(FDINFO, 7, files.map(entry));
    writer.writeList(FDINFO, 8, files.filter(({ ffy }) => ffy === undefined).map(entry));
    await writer.commit({ imgVersion: 2 });
    const byId = new Map(files.map((file) => [file.id, file]));
    const images = ImageDirectory.open(`${home}/images`);
    deepEqual([...eventFiles(images, byId, [8])], []);
    return [...eventFiles(images, byId, [7])];
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
}

Deno.test("eventFiles() finds what is open as a group of the task opens files, and has not been read", async () => {
  const files = [
    regular(1, O.RDONLY | LARGEFILE),
    regular(2, O.RDONLY | LARGEFILE | NO_EVENTS),
    regular(3, O.RDWR | LARGEFILE),
    regular(4, O.RDONLY | LARGEFILE, 1n),
  ];
  deepEqual(await foundAmong(...files, group(5, 0)), [1, 2]);
  deepEqual(await foundAmong(...files, group(5, REPORT_FID)), []);
  deepEqual(await foundAmong(...files), []);
});

Deno.test("isLost() tells what is gone or something else by now", () => {
  equal(isLost({ mode: S_IFREG }, "/proc/version"), false);
  equal(isLost({ mode: 0 }, "/proc"), false);
  equal(isLost({ mode: S_IFREG }, "/proc"), true);
  equal(isLost({ mode: S_IFDIR }, "/nowhere/at/all"), true);
});
