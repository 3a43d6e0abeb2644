import { deepEqual } from "@std/assert";
import { decodeBytes } from "../base/byte_text.ts";
import { noteOutsideName, OUTSIDE_NAMES, readOutsideNames } from "./outside_names.ts";

Deno.test("readOutsideNames() gives what noteOutsideName() has noted, and nothing that was cut short", () => {
  const directory = Deno.makeTempDirSync();
  try {
    deepEqual(readOutsideNames(directory), []);
    const noted = [
      { path: "/a b/link_remap.1-0", dev: 65024, ino: 12 },
      { path: `/${decodeBytes(Uint8Array.of(0xff))}\n/x`, dev: 1, ino: 2 },
    ];
    for (const one of noted) noteOutsideName(directory, one);
    Deno.writeTextFileSync(`${directory}/${OUTSIDE_NAMES}`, "3 4 /cut", { append: true });
    deepEqual(readOutsideNames(directory), noted);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
