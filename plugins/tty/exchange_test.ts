import { equal } from "@std/assert";
import { MODES } from "../../core/linux/terminal.ts";
import { TtyFlow } from "../../images/gen/terminals_pb.ts";
import { EMPTY } from "./contents.ts";
import { type Looked, needsExchange, outputPieces } from "./exchange.ts";

const raw: Looked = {
  termios: { iflag: 0, oflag: 0, cflag: 0, lflag: 0, line: 0, cc: [], ispeed: 0, ospeed: 0 },
  packets: false,
  output: 0,
  input: 0,
  hasInput: false,
  isStuck: false,
};

Deno.test("needsExchange() leaves a terminal without lines alone where nothing waits", () => {
  equal(needsExchange(raw), false);
  equal(EMPTY.flow, TtyFlow.FLOWS);
  for (const more of [{ output: 1 }, { input: 1 }, { isStuck: true }]) {
    equal(needsExchange({ ...raw, ...more }), true);
  }
  equal(needsExchange({ ...raw, termios: { ...raw.termios, lflag: MODES.ICANON } }), true);
});

Deno.test("outputPieces() come one behind the other, for more than ever waits", () => {
  let end = 0;
  for (const { at, size } of outputPieces()) {
    equal(at, end);
    end += size;
  }
  equal(end > 2 * (8192 + 1792), true);
});
