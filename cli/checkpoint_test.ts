import assert from "@std/assert";
import { defaultDirectory, describeCheckpoint } from "./checkpoint.ts";

const RESULT = {
  pid: 7,
  directory: "/tmp/saved",
  tasks: 2,
  threads: 5,
  bytes: 3n << 20n,
  frozenMs: 12.34,
  totalMs: 1500,
  taken: [],
};

Deno.test("describeCheckpoint() tells size, times and where", () => {
  assert.equal(
    describeCheckpoint(RESULT, "ended"),
    "7: 2 processes, 5 threads, 3.0 MiB in 1.50 s, stood still for 12 ms\nimages: /tmp/saved",
  );
  assert.match(describeCheckpoint(RESULT, "running"), /for 12 ms and runs on\n/);
  assert.match(describeCheckpoint(RESULT, "stopped"), /for 12 ms and is stopped\n/);
  assert.match(describeCheckpoint({ ...RESULT, taken: [8, 9] }, "ended"), /still taken: 8, 9$/);
});

Deno.test("defaultDirectory() is named after the process", () => {
  assert.equal(defaultDirectory(1234), "stasis-1234");
});
