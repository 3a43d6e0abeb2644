/**
 * What a socket of datagrams keeps of a message that its program goes on writing (MSG_MORE, UDP_CORK): no system
 * call tells of it but by the memory that it takes (SIOCOUTQ). What a network card has not sent yet takes the same.
 *
 * @module
 */
import { ioctl } from "../../core/linux/libc_ffi.ts";
import { pause } from "../../core/linux/pause.ts";

const SIOCOUTQ = 0x5411;
/** For how long a network card may take to send what it has, in milliseconds, and how often it is asked. */
const PATIENCE = 20, PAUSE = 1;

/**
 * Whether a message has been begun and not sent, as far as its kind of socket tells (ICMP's does not).
 *
 * @param fd a duplicate of its descriptor; nobody may send by it meanwhile
 */
export function hasUnsent(fd: number): boolean {
  for (let left = PATIENCE;; left -= PAUSE) {
    const word = new Int32Array(1);
    if (ioctl(fd, SIOCOUTQ, new Uint8Array(word.buffer)) !== 0 || word[0] === 0) return false;
    if (left <= 0) return true;
    pause(PAUSE);
  }
}
