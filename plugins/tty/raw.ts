/**
 * The modes in which what was in a terminal goes back into it unchanged. Pure.
 *
 * @module
 */
import { CC, CC_COUNT, MODES, type Termios } from "../../core/linux/terminal.ts";

/** What is put into a reader's buffer, piece by piece. */
export interface Input {
  /** The bytes as the reader gets them. */
  readonly data: Uint8Array;
  /** Behind how many bytes a line ends for which the end of file was typed, ascending. */
  readonly eof: readonly number[];
}

/** The character that stands for the end of file where one is put into a buffer. */
export const TYPED_EOF = 4;

/** Whether a reader gets whole lines. */
export function isByLines({ lflag }: Termios): boolean {
  return (lflag & MODES.ICANON) !== 0 && (lflag & MODES.EXTPROC) === 0;
}

/** Reads whatever is there, in lines or not, and waits for nothing. */
export function anyInput(termios: Termios): Termios {
  return {
    ...termios,
    lflag: termios.lflag & ~MODES.ICANON,
    cc: replaced(termios.cc, { [CC.VMIN]: 1, [CC.VTIME]: 0 }),
  };
}

/** Output goes through as it is. */
export function rawOutput(termios: Termios): Termios {
  return { ...termios, oflag: termios.oflag & ~MODES.OPOST };
}

/**
 * Input is taken as it is: nothing is changed, echoed or acted on; but lines end where they do. Output that was
 * stopped by its user stays so: for that IXON must not change (n_tty_set_termios()).
 *
 * @param eof whether {@link TYPED_EOF} ends a line
 */
export function rawInput(termios: Termios, eof: boolean): Termios {
  const kept = MODES.ICANON | MODES.IEXTEN | MODES.EXTPROC;
  const { [CC.VEOL]: eol = 0, [CC.VEOL2]: eol2 = 0 } = termios.cc;
  const cc = replaced(new Array(CC_COUNT).fill(0), {
    [CC.VEOL]: eol,
    [CC.VEOL2]: eol2,
    [CC.VEOF]: eof ? TYPED_EOF : 0,
    [CC.VMIN]: 1,
  });
  return { ...termios, iflag: termios.iflag & MODES.IXON, lflag: termios.lflag & kept, cc };
}

/** In these modes {@link STOP} stops the output, and {@link START} lets it go on. */
export function stoppable(termios: Termios): Termios {
  const raw = rawInput(termios, false);
  return {
    ...raw,
    iflag: raw.iflag | MODES.IXON,
    cc: replaced(raw.cc, { [CC.VSTOP]: STOP, [CC.VSTART]: START }),
  };
}

/** Ctrl-S. */
export const STOP = 0x13;
/** Ctrl-Q. */
export const START = 0x11;

function replaced(cc: readonly number[], by: Readonly<Record<number, number>>): number[] {
  return cc.map((value, at) => by[at] ?? value);
}

/** The bytes of input in order, with the ends of file between them. */
export function* pieces({ data, eof }: Input): Generator<{ bytes: Uint8Array; eof: boolean }> {
  let from = 0;
  for (const end of eof) {
    yield { bytes: data.subarray(from, end), eof: true };
    from = end;
  }
  if (from < data.byteLength) yield { bytes: data.subarray(from), eof: false };
}
