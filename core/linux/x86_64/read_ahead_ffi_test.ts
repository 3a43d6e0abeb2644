import { deepEqual, equal } from "@std/assert";
import { readFile, readFilePieces } from "../read_file.ts";
import { ReadAhead, takeAhead } from "./read_ahead_ffi.ts";

/** A directory with a file of each size. */
function files(sizes: readonly number[]) {
  const directory = Deno.makeTempDirSync({ prefix: "stasis-ahead-" });
  const paths = sizes.map((size) => {
    const path = `${directory}/${size}`;
    Deno.writeFileSync(path, Uint8Array.from({ length: size }, (_, index) => index * 7));
    return path;
  });
  return { paths, [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }) };
}

/** Has files read, and a link behind them. */
async function readAll(paths: readonly string[], room: number) {
  const link = "/proc/self/exe";
  const ahead = new ReadAhead([...paths.map((path) => ({ path, room })), {
    path: link,
    room: "link",
  }]);
  ahead.begin();
  while (!ahead.isFinished) await new Promise((resolve) => setTimeout(resolve, 1));
  return ahead;
}

Deno.test("ReadAhead reads files of every size that it has room for", async () => {
  using made = files([0, 1, 100, 4095, 4096, 4097, 8192, 12_000]);
  using _ = await readAll(made.paths, 12_288);
  for (const path of made.paths) {
    const bytes = Deno.readFileSync(path);
    const pieces = takeAhead(path) ?? [];
    deepEqual(Uint8Array.from(pieces.flatMap((piece) => [...piece])), bytes, path);
    equal(takeAhead(path), undefined);
  }
});

Deno.test("ReadAhead leaves what is longer than expected, and what cannot be read, to whoever wants it", async () => {
  using made = files([100, 101, 200]);
  const none = "/proc/self/none";
  using _ = await readAll([...made.paths, none], 100);
  const [fits, longer, longest] = made.paths as [string, string, string];
  equal(takeAhead(longer), undefined);
  equal(takeAhead(none), undefined);
  equal(readFile(fits).length, 100);
  equal(readFile(longest).length, 200);
});

Deno.test("readFile() and readFilePieces() take what has been read ahead, once", async () => {
  using made = files([50, 9000]);
  using _ = await readAll(made.paths, 12_288);
  const [short, long] = made.paths as [string, string];
  for (const path of made.paths) Deno.writeFileSync(path, new Uint8Array(7));
  equal(readFile(short).length, 50);
  equal(readFile(short).length, 7);
  for (const size of [9000, 7]) {
    let sum = 0;
    readFilePieces(long, (piece) => sum += piece.length);
    equal(sum, size);
  }
});

Deno.test("ReadAhead forgets all when it is disposed of, and keeps links till then", async () => {
  using made = files([50]);
  const [path] = made.paths as [string];
  const link = "/proc/self/exe";
  {
    using _ = await readAll(made.paths, 100);
    for (const _ of [1, 2]) {
      equal(new TextDecoder().decode(takeAhead(link)?.[0]), Deno.readLinkSync(link));
    }
  }
  equal(takeAhead(path), undefined);
  equal(takeAhead(link), undefined);
});
