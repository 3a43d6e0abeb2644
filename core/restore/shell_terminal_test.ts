import { deepEqual } from "@std/assert";
import { modesOn } from "./shell_terminal.ts";

Deno.test("modesOn() leaves a line its speed and its characters' size", () => {
  const saved = { iflag: 1, oflag: 2, cflag: 3, lflag: 4, line: 0, cc: [5], ispeed: 6, ospeed: 7 };
  const here = {
    iflag: 0,
    oflag: 0,
    cflag: 30,
    lflag: 0,
    line: 0,
    cc: [0],
    ispeed: 60,
    ospeed: 70,
  };
  deepEqual(modesOn(saved, here), { ...saved, cflag: 30, ispeed: 60, ospeed: 70 });
});
