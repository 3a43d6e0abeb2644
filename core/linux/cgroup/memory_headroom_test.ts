import { deepEqual, equal } from "@std/assert";
import { headroomOf, upwards } from "./memory_headroom.ts";

Deno.test("headroomOf() is what is left of the limit, with files that make room", () => {
  equal(headroomOf({ limit: "max\n", usage: "5\n", stat: "" }), undefined);
  equal(headroomOf({ limit: "9223372036854771712\n", usage: "5\n", stat: "" }), undefined);
  equal(headroomOf({ limit: "1000\n", usage: "400\n", stat: "" }), 600n);
  equal(headroomOf({ limit: "1000\n", usage: "400\n", stat: "anon 9\ninactive_file 100\n" }), 700n);
  // A group of v1 counts those that are in it by other lines.
  const stat = "inactive_file 1\ntotal_inactive_file 200\n";
  equal(headroomOf({ limit: "1000\n", usage: "400\n", stat }), 800n);
  equal(headroomOf({ limit: "100\n", usage: "400\n", stat: "" }), 0n);
});

Deno.test("upwards() goes from a group to the root", () => {
  deepEqual(upwards("/jobs/7"), ["/jobs/7", "/jobs", "/"]);
  deepEqual(upwards("/"), ["/"]);
});
