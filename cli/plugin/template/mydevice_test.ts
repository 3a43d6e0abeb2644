/** Tests of mydevice.ts that need no root and no device. Run them by: stasis plugin test mydevice.ts */
import { deepEqual, equal, throws } from "node:assert/strict";
import plugin, { decode, encode, isMine } from "./mydevice.ts";

const link = (text: string) => ({
  link: { kind: "path", text, path: text, deleted: false } as const,
});

Deno.test("the plugin takes descriptors of its device, and no others", () => {
  equal(plugin.name, "mydevice");
  equal(isMine(link("/dev/mydevice")), true);
  equal(isMine(link("/dev/null")), false);
});

Deno.test("what is written to the image is read back, and what is damaged is refused", () => {
  const saved = [{ id: 3, path: "/dev/mydevice", flags: 2 }];
  deepEqual(decode(encode(saved)), saved);
  throws(() => decode(new TextEncoder().encode("[{}]")), RangeError);
});

// With a program that has the device open, as root:
//
// Deno.test("a program has its device again", async () => {
//   const program = new Deno.Command("./program").spawn();
//   await checkpoint(program.pid, { directory: "saved", plugins: [plugin] });
//   const tree = await restore("saved", { plugins: [plugin] });
//   ...
// });
