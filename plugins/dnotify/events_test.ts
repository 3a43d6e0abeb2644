import { equal } from "@std/assert";
import { eventsOf, isWatch } from "./events.ts";

Deno.test("eventsOf() gives back what F_NOTIFY was called with", () => {
  // FS_EVENT_ON_CHILD with FS_CREATE and FS_MOVED_TO, and FS_DN_MULTISHOT.
  equal(eventsOf(0x0800_0000 | 0x180 | 0x2000_0000), 0x8000_0004);
  equal(eventsOf(0x0800_0000 | 0x3c7 | 0x1000_0000), 0x3f);
});

Deno.test("eventsOf() takes no mask for one that it does not know", () => {
  equal(eventsOf(0x0800_0000 | 0x100), undefined);
  equal(eventsOf(0x180), undefined);
  equal(eventsOf(0x0800_0000 | 0x1 | 0x10), undefined);
  equal(eventsOf(0x0800_0000 | 0x2000_0000), undefined);
});

Deno.test("isWatch() tells what makes a watch from what takes it back", () => {
  equal(isWatch(0x8000_0001), true);
  equal(isWatch(0x8000_0000), false);
  equal(isWatch(0), false);
  equal(isWatch(0x41), false);
});
