import { deepEqual } from "@std/assert";
import { findProviders, type Wanted } from "./provided.ts";

const wanted = (id: number, name: string, ...names: string[]): Wanted => ({
  id,
  name,
  names: [name, ...names],
  flags: 0,
});

Deno.test("findProviders() takes the standard stream of the same number", () => {
  const numbers = new Map([[1, [0]], [2, [1, 2]]]);
  const found = findProviders([wanted(1, "pipe:[8]"), wanted(2, "pipe:[9]")], numbers, {});
  deepEqual([...found], [[1, 0], [2, 1]]);
});

Deno.test("findProviders() takes what stands in for another opening of the same terminal", () => {
  const numbers = new Map([[1, [2]], [2, [255]]]);
  const found = findProviders([wanted(2, "tty[1:2]"), wanted(1, "tty[1:2]")], numbers, {});
  deepEqual([found.get(1), found.get(2)], [2, 2]);
});

Deno.test("findProviders() prefers what the user names", () => {
  const numbers = new Map([[1, [0]], [2, [5]]]);
  const files = [wanted(1, "pipe:[8]"), wanted(2, "socket:[9]", "fd[5]")];
  const found = findProviders(files, numbers, { "pipe:[8]": 11, "fd[5]": 12 });
  deepEqual([found.get(1), found.get(2)], [11, 12]);
});

Deno.test("findProviders() leaves out what nothing stands in for", () => {
  const found = findProviders([wanted(2, "socket:[9]")], new Map([[2, [5]]]), {});
  deepEqual(found.size, 0);
});
