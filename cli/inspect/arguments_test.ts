import { deepEqual, equal } from "@std/assert";
import { describeArguments, splitArguments } from "./arguments.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("splitArguments() takes words apart, empty ones too, and knows none where nothing is", () => {
  deepEqual(splitArguments(bytes("python3\0my file.py\0")), ["python3", "my file.py"]);
  deepEqual(splitArguments(bytes("a\0\0b\0\0\0")), ["a", "", "b"]);
  deepEqual(splitArguments(Uint8Array.of(0x61, 0xff, 0)), ["a\udcff"]);
  equal(splitArguments(new Uint8Array(4)), undefined);
});

Deno.test("describeArguments() quotes words as for a shell, and cuts long ones off", () => {
  equal(describeArguments(["a", "b c", "it's", ""], false), "a 'b c' 'it'\\''s' ''");
  equal(describeArguments(["a\u001b[31m"], false).includes("\u001b"), false);
  const long = ["x".repeat(1000)];
  equal(describeArguments(long, true).length, 1000);
  equal(describeArguments(long, false).length, 303);
});
