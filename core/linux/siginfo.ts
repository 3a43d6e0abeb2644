/**
 * `siginfo_t` as ptrace and rt_sigqueueinfo(2) pass it: 128 bytes, kept whole, so that nothing of a queued
 * signal is lost; the fields that the tools look at are named (`include/uapi/asm-generic/siginfo.h`).
 *
 * @module
 */

/** One queued signal, as the 128 bytes of its siginfo_t. */
export class Siginfo {
  /** The size of a siginfo_t in bytes. */
  static readonly SIZE = 128;

  /** The raw bytes. */
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array = new Uint8Array(Siginfo.SIZE)) {
    this.bytes = bytes;
  }

  #view(): DataView {
    return new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }

  /** The signal. */
  get signal(): number {
    return this.#view().getInt32(0, true);
  }

  /** Where it came from: SI_USER 0, SI_QUEUE -1, SYS_USER_DISPATCH 2 of SIGSYS, ... */
  get code(): number {
    return this.#view().getInt32(8, true);
  }

  /** The eight bytes behind the codes: pid and uid of a sender, address of a fault or call. */
  get payload(): bigint {
    return this.#view().getBigUint64(16, true);
  }

  /** A signal as a process would queue it, with eight bytes of payload where pid and uid stand. */
  static make(signal: number, code: number, payload: bigint): Siginfo {
    const info = new Siginfo();
    const view = info.#view();
    view.setInt32(0, signal, true);
    view.setInt32(8, code, true);
    view.setBigUint64(16, payload, true);
    return info;
  }
}
