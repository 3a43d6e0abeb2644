/**
 * What is known of a call before each instruction of a filter, whichever way led there. Pure.
 *
 * Jumps lead forward, so one pass in the order of the instructions sees every way into one before it.
 *
 * @module
 */
import { AUDIT_ARCH_X86_64, BPF, type Instruction } from "./bpf.ts";

/** The offset of the architecture in `struct seccomp_data`. */
const ARCH = 4;

/** What is known before one instruction. */
export interface Known {
  /** The offset of the word of `struct seccomp_data` that is in A; undefined if something else is. */
  readonly loaded: number | undefined;
  /** Whether only calls of another architecture than x86-64 come here: their numbers mean other calls. */
  readonly foreign: boolean;
}

/** What is known before each instruction. */
export function knownBefore(filter: readonly Instruction[]): Known[] {
  const known: (Known | undefined)[] = [{ loaded: undefined, foreign: false }];
  const goTo = (at: number, now: Known): void => {
    const other = known[at];
    known[at] = other === undefined ? now : {
      loaded: other.loaded === now.loaded ? now.loaded : undefined,
      foreign: other.foreign && now.foreign,
    };
  };
  return filter.map((one, at) => {
    // Nothing leads to code that is never run.
    const before = known[at] ?? { loaded: undefined, foreign: false };
    const { code, jt, jf, k } = one;
    switch (code & 7) {
      case BPF.RET:
        break;
      case BPF.JMP:
        if ((code & 0xf0) === BPF.JA) {
          goTo(at + 1 + k, before);
        } else {
          const [yes, no] = branches(one, before);
          goTo(at + 1 + jt, yes);
          goTo(at + 1 + jf, no);
        }
        break;
      case BPF.LD:
        goTo(at + 1, { ...before, loaded: (code & 0xe0) === BPF.ABS ? k : undefined });
        break;
      case BPF.ALU:
      case BPF.MISC:
        goTo(at + 1, { ...before, loaded: undefined });
        break;
      default:
        goTo(at + 1, before);
    }
    return before;
  });
}

/** What is known where a comparison holds, and where it does not. */
function branches({ code, k }: Instruction, before: Known): readonly [yes: Known, no: Known] {
  if (before.loaded !== ARCH || code !== (BPF.JMP | BPF.JEQ)) return [before, before];
  const native = k === AUDIT_ARCH_X86_64;
  return [
    { ...before, foreign: !native },
    { ...before, foreign: native || before.foreign },
  ];
}
