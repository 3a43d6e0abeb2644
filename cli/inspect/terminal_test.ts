import { equal } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import {
  type tty_info_entry,
  tty_info_entrySchema,
  TtyType,
} from "../../images/gen/terminals_pb.ts";
import { masterId, slaveId } from "../../plugins/tty/image.ts";
import { describeTerminal } from "./terminal.ts";

const shown = (init: Partial<tty_info_entry>, waiting = 0): string => {
  const info = Object.assign(create(tty_info_entrySchema, { rdev: 0x8803, dev: 0x1a }), init);
  return describeTerminal(info, waiting);
};

Deno.test("describeTerminal() shows the ends of a pty, what it controls and what waits in it", () => {
  const { winsize, termios, pty } = create(tty_info_entrySchema, {
    winsize: { wsRow: 24, wsCol: 80, wsXpixel: 0, wsYpixel: 0 },
    termios: { cIflag: 0, cOflag: 0, cCflag: 0, cLflag: 0, cLine: 0, cIspeed: 0, cOspeed: 0 },
    pty: { index: 3 },
  });
  const common = { type: TtyType.PTY, winsize, termios, pty, sid: 7, pgrp: 8 };
  equal(
    shown({ ...common, id: masterId(3) }, 5),
    "master of /dev/pts/3  80 x 24  5 bytes wait to be read",
  );
  equal(
    shown({ ...common, id: slaveId(3) }),
    "/dev/pts/3  80 x 24  controls session 7, group 8 in the foreground",
  );
  equal(shown({ type: TtyType.PTY, pty, id: slaveId(3) }), "/dev/pts/3  hung up");
});

Deno.test("describeTerminal() shows what a restore gives anew, and what is opened by its name", () => {
  equal(shown({ type: TtyType.EXT_TTY, sid: 7 }), "tty[8803:1a]  given at restore");
  equal(shown({ type: TtyType.CTTY, sid: 7 }), "/dev/tty of session 7");
  equal(shown({ type: TtyType.CONSOLE }), "console");
});
