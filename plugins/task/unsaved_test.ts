import { deepEqual } from "@std/assert";
import { resourceGroupNotes } from "./unsaved.ts";

Deno.test("resourceGroupNotes() is silent of tasks in the tool's groups", () => {
  const own = ["res:/", "mon:"];
  deepEqual(resourceGroupNotes([{ pid: 5, groups: own }], own), []);
});

Deno.test("resourceGroupNotes() names each other group once, with how many are in it", () => {
  const own = ["res:/", "mon:"];
  const job = ["res:job", "mon:"];
  const other = ["res:/", "mon:m"];
  deepEqual(
    resourceGroupNotes([
      { pid: 5, groups: job },
      { pid: 6, groups: other },
      { pid: 7, groups: job },
      { pid: 8, groups: own },
    ], own),
    [
      "task 5 and 1 more are in the resource group res:job, and will be in that of whoever restores",
      "task 6 is in the resource group mon:m, and will be in that of whoever restores",
    ],
  );
});
