/**
 * The machine code of a signal handler that counts the signal and then does what the handler before it did: so
 * that synchronous code can see a signal for which JavaScript has a listener, which runs only when it is done.
 *
 * @module
 */

/**
 * The code, for one signal.
 *
 * @param counter the address of a 32-bit word, in memory that stays where it is
 * @param next the handler that was there, with three arguments (SA_SIGINFO); it runs as if it had been called
 * @param as the number that it is told in place of the signal's
 */
export function countCode(counter: bigint, next: bigint, as?: number): Uint8Array {
  const code = new Uint8Array(as === undefined ? 25 : 30);
  const view = new DataView(code.buffer);
  code.set([0x48, 0xb8], 0); // movabs rax, counter
  view.setBigUint64(2, counter, true);
  code.set([0xf0, 0xff, 0x00], 10); // lock inc dword [rax]
  code.set([0x48, 0xb8], 13); // movabs rax, next
  view.setBigUint64(15, next, true);
  let end = 23;
  if (as !== undefined) {
    code[23] = 0xbf; // mov edi, as
    view.setUint32(24, as, true);
    end = 28;
  }
  code.set([0xff, 0xe0], end); // jmp rax
  return code;
}
