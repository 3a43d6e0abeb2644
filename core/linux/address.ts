/**
 * Addresses in a target. An address in another process means nothing here, so it has a type of its own:
 * a branded `bigint` that only {@link remoteAddress} makes and that no FFI pointer is assignable to.
 *
 * @module
 */

declare const remote: unique symbol;

/** An address in the address space of a target, in bytes. */
export type RemoteAddress = bigint & { readonly [remote]: true };

/** Says that a number is an address in a target. */
export function remoteAddress(value: bigint): RemoteAddress {
  return value as RemoteAddress;
}

/** The address `bytes` bytes behind another one. */
export function offsetAddress(address: RemoteAddress, bytes: bigint | number): RemoteAddress {
  return (address + BigInt(bytes)) as RemoteAddress;
}

/** The size of a page in bytes (x86-64 has this base size only). */
export const PAGE_SIZE = 4096n;

/** Rounds up to whole pages. */
export function pageAlign(bytes: bigint): bigint {
  return (bytes + PAGE_SIZE - 1n) & ~(PAGE_SIZE - 1n);
}

/** The first address that user space of x86-64 with four-level page tables cannot have (TASK_SIZE_MAX). */
export const TASK_SIZE = 0x7ffffffff000n;
