import { deepEqual } from "@std/assert";
import { rootCauses } from "./root_causes.ts";

const problem = (pid: number | undefined, what: string, decisive?: true) => ({
  pid,
  plugin: "p",
  what,
  decisive,
});

Deno.test("rootCauses() leaves out what follows from a decisive problem of the same task", () => {
  const own = problem(1, "a namespace", true), follows = problem(1, "a path");
  const other = problem(2, "a path"), tree = problem(undefined, "the tree");
  deepEqual(rootCauses([follows, other, own, tree]), [own, other, tree]);
});

Deno.test("rootCauses() leaves all as they are where none is decisive", () => {
  const all = [problem(1, "a"), problem(2, "b")];
  deepEqual(rootCauses(all), all);
});
