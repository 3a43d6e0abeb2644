import { equal, match } from "@std/assert";
import { Cancellation } from "../cancellation.ts";
import type { FrozenTask } from "../plugin.ts";
import { Shadows } from "./shadows.ts";

Deno.test("no task has a shadow where the first process of the pid namespace is in the tree", () => {
  const task = (pid: number) =>
    ({ pid, proc: { status: { nsPid: [pid] } } }) as unknown as FrozenTask;
  const first = task(1), child = task(7);
  const notes: string[] = [];
  using shadows = new Shadows(
    new Cancellation(new AbortController().signal),
    (text) => void notes.push(text),
  );
  const tree = { tasks: [first, child], zombies: [] };
  equal(shadows.make(tree, [{ task: child, left: [] }]).size, 0);
  equal(notes.length, 1);
  match(notes[0] ?? "", /^task 7 stands still .* the first process of this pid namespace/);
});
