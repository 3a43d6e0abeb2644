import { deepEqual, equal, ok } from "@std/assert";
import { readDescriptors } from "./descriptors.ts";
import { readFdInfo, readFdLink } from "./mod.ts";

Deno.test("readDescriptors() reads what the readers of a single one read, of any number and length", () => {
  const directory = Deno.makeTempDirSync({ prefix: "stasis-descriptors-" });
  using cleanup = new DisposableStack();
  cleanup.defer(() => Deno.removeSync(directory, { recursive: true }));
  const long = `${directory}/${"a".repeat(250)}`;
  const paths = [...Array.from({ length: 300 }, (_, index) => `${directory}/${index}`), long];
  for (const path of paths) cleanup.use(Deno.openSync(path, { write: true, create: true }));
  const found = readDescriptors(Deno.pid);
  for (const path of paths) ok(found.some(({ link }) => link.text === path), path);
  for (const { fd, link, info } of found) {
    if (link.kind !== "path" || !link.text.startsWith(directory)) continue;
    deepEqual(link, readFdLink(Deno.pid, fd));
    deepEqual(info, readFdInfo(Deno.pid, fd));
  }
  deepEqual(found.map(({ fd }) => fd), found.map(({ fd }) => fd).sort((a, b) => a - b));
  equal(new Set(found.map(({ fd }) => fd)).size, found.length);
});
