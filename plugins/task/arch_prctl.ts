/**
 * Options of arch_prctl(2), from `arch/x86/include/uapi/asm/prctl.h`, and what their values mean.
 *
 * @module
 */

/** The options that this plugin uses. */
export const ARCH = {
  GET_CPUID: 0x1011,
  SET_CPUID: 0x1012,
  GET_XCOMP_PERM: 0x1022,
  REQ_XCOMP_PERM: 0x1023,
} as const;

/** ARCH_GET_CPUID: the instruction faults. */
export const CPUID_FAULTS = 0n;

/** The extended states that a process must ask for (XFEATURE_MASK_USER_DYNAMIC): the tiles of AMX. */
const DYNAMIC = 1n << 18n;

/**
 * What a process has been granted beyond what everybody has.
 *
 * @param permitted the mask that ARCH_GET_XCOMP_PERM gives
 * @returns undefined where that is nothing
 */
export function grantedXstate(permitted: bigint): bigint | undefined {
  const granted = permitted & DYNAMIC;
  return granted === 0n ? undefined : granted;
}

/** The numbers of the states in a mask, ascending: what ARCH_REQ_XCOMP_PERM takes, one at a time. */
export function xstateNumbers(mask: bigint): number[] {
  const numbers: number[] = [];
  for (let bit = 0; bit < 64; bit++) if ((mask >> BigInt(bit) & 1n) !== 0n) numbers.push(bit);
  return numbers;
}
