import { deepEqual, equal } from "@std/assert";
import { CC, MODES, type Termios } from "../../core/linux/terminal.ts";
import { anyInput, isByLines, pieces, rawInput, rawOutput, TYPED_EOF } from "./raw.ts";

const COOKED: Termios = {
  iflag: MODES.IXON | 0o400,
  oflag: MODES.OPOST | 4,
  cflag: 0o277,
  lflag: MODES.ICANON | MODES.ISIG | MODES.IEXTEN | 0o10,
  line: 0,
  cc: [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 255, 18, 15, 23, 22, 254, 0, 0],
  ispeed: 38400,
  ospeed: 38400,
};

Deno.test("rawInput() keeps lines and what ends them, and acts on nothing else", () => {
  const raw = rawInput(COOKED, false);
  equal(isByLines(raw), true);
  equal(raw.lflag & (MODES.ISIG | 0o10), 0);
  equal(raw.iflag, MODES.IXON);
  const special = raw.cc.flatMap((value, at) => value === 0 ? [] : [at]);
  deepEqual(special, [CC.VMIN, CC.VEOL, CC.VEOL2]);
  equal(rawInput(COOKED, true).cc[CC.VEOF], TYPED_EOF);
  equal(rawInput({ ...COOKED, iflag: 0 }, false).iflag, 0);
});

Deno.test("anyInput() and rawOutput() change what they say alone", () => {
  equal(isByLines(anyInput(COOKED)), false);
  deepEqual({ ...anyInput(COOKED), lflag: COOKED.lflag, cc: COOKED.cc }, COOKED);
  deepEqual(rawOutput(COOKED), { ...COOKED, oflag: 4 });
});

Deno.test("pieces() has an end of file where one was typed, also of nothing", () => {
  const data = Uint8Array.of(1, 2, 3);
  const list = (eof: number[]) =>
    [...pieces({ data, eof })].map((one) => [[...one.bytes], one.eof]);
  deepEqual(list([]), [[[1, 2, 3], false]]);
  deepEqual(list([0, 2, 2]), [[[], true], [[1, 2], true], [[], true], [[3], false]]);
  deepEqual(list([3]), [[[1, 2, 3], true]]);
});
