/**
 * Where the components of the extended state lie in the standard (not compacted) form of the xsave area,
 * which is the form of PTRACE_GETREGSET(NT_X86_XSTATE). It is not the same on all processors: those that
 * skip a component (AMD had no MPX) move the later ones down. Source: Intel SDM vol. 1, 13.4.3: CPUID leaf
 * 0xD, sub-leaf N has size and offset of component N.
 *
 * @module
 */
import { cpuid, enabledStateComponents } from "../../core/linux/x86_64/cpuid_ffi.ts";

/** Components by name and number (`enum xfeature` of `arch/x86/include/asm/fpu/types.h`). */
export const COMPONENT = {
  fp: 0,
  sse: 1,
  ymm: 2,
  bndregs: 3,
  bndcsr: 4,
  opmask: 5,
  zmmHi256: 6,
  hi16Zmm: 7,
  pkru: 9,
  tileConfig: 17,
  tileData: 18,
} as const;

/** Where one component lies. */
export interface Component {
  /** Its number. */
  readonly number: number;
  /** Distance from the start of the area in bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
}

/** Where the components beyond the legacy area lie, by number; those that this machine has. */
export type XstateLayout = ReadonlyMap<number, Component>;

const XSTATE_LEAF = 0xd;
/** In ECX of a sub-leaf: a supervisor component, which is not in a user's area. */
const SUPERVISOR = 1;

let known: XstateLayout | undefined;

/** The layout on this machine. */
export function xstateLayout(): XstateLayout {
  if (known !== undefined) return known;
  const enabled = enabledStateComponents();
  const layout = new Map<number, Component>();
  for (let number = 2; number < 63; number++) {
    if ((enabled >> BigInt(number) & 1n) === 0n) continue;
    const { eax: size, ebx: offset, ecx } = cpuid(XSTATE_LEAF, number);
    if ((ecx & SUPERVISOR) === 0 && size > 0) layout.set(number, { number, offset, size });
  }
  return known = layout;
}
