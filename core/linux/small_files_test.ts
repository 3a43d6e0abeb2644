import { deepEqual, equal } from "@std/assert";
import { SMALL_FILES } from "./small_files.ts";

Deno.test("SMALL_FILES makes and reads small files", () => {
  const directory = Deno.makeTempDirSync();
  try {
    for (const size of [0, 1, 4096, 32768]) {
      const path = `${directory}/${size}`;
      const bytes = new Uint8Array(size).map((_, index) => index * 7);
      equal(SMALL_FILES.create(path, bytes), true);
      deepEqual(Deno.readFileSync(path), bytes);
      equal(Deno.statSync(path).mode! & 0o777, 0o600 & ~Deno.umask());
      equal(SMALL_FILES.size(path), size);
      const read = SMALL_FILES.read(path, size);
      SMALL_FILES.read(`${directory}/4096`, 4096);
      deepEqual(read, bytes);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("SMALL_FILES leaves all else alone", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/file`;
    Deno.writeTextFileSync(path, "text");
    equal(SMALL_FILES.create(path, new Uint8Array(3)), false);
    equal(Deno.readTextFileSync(path), "text");
    for (const wrong of [0, 3, 5, 1 << 20]) equal(SMALL_FILES.read(path, wrong), undefined);
    const large = `${directory}/large`;
    equal(SMALL_FILES.create(large, new Uint8Array(32769)), false);
    equal(SMALL_FILES.create(`${directory}/none/file`, new Uint8Array(1)), false);
    equal(SMALL_FILES.create("/dev/full/file", new Uint8Array(1)), false);
    for (const none of [large, directory, `${directory}/none`, "/dev/null", "/proc/self/fd/0/x"]) {
      equal(SMALL_FILES.size(none), undefined, none);
    }
    equal(SMALL_FILES.read(`${directory}/none`, 1), undefined);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
