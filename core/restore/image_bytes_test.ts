import { deepEqual, equal, throws } from "@std/assert";
import type { TreePlanner } from "../plugin.ts";
import { formatCall } from "../remote/format_call.ts";
import { SyscallProgram } from "../remote/program.ts";
import { ImageBytes, planBytes, ServedImage } from "./image_bytes.ts";

function served(): ServedImage {
  const image = new ServedImage("/images/pipes-data.img");
  const serviceFile = (path: string) => path === image.path ? 500 : -1;
  image.serve({ serviceFile } as unknown as TreePlanner);
  return image;
}

Deno.test("planBytes() reads from the image into one buffer, a larger one where it must be", () => {
  const program = new SyscallProgram("test");
  const image = served();
  const all = new ImageBytes(image, 1000, 9000);
  const first = planBytes(program, all.subarray(0, 4096), "x");
  equal(planBytes(program, all.subarray(4096, 8192), "x"), first);
  const larger = planBytes(program, all, "x");
  equal(larger === first, false);
  deepEqual(program.calls.map(({ name, args }) => [name, args[0], args[2], args[3]]), [
    ["pread64", 500, 4096, 1000],
    ["pread64", 500, 4096, 5096],
    ["pread64", 500, 9000, 1000],
  ]);
  equal(larger.bytes.byteLength, 16384);
});

Deno.test("planBytes() makes bytes in memory a part of the program", () => {
  const program = new SyscallProgram("test");
  program.call("write", 1, planBytes(program, new Uint8Array(3), "3 bytes"), 3);
  deepEqual(program.calls.map((call) => formatCall(call)), ["write(1, {3 bytes}, 3)"]);
});

Deno.test("ServedImage has no number before it is served", () => {
  throws(() => new ServedImage("/images/x").number, RangeError);
});
