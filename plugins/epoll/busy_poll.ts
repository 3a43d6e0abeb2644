/**
 * Busy polling of an epoll instance: how long a wait asks network devices before it sleeps (EPIOCSPARAMS of
 * ioctl_eventpoll(2), Linux 6.9). It changes how fast events of networks come, and nothing else.
 *
 * @module
 */
import { ioctl } from "../../core/linux/libc_ffi.ts";
import { defineStruct } from "../../core/linux/struct.ts";

/** `struct epoll_params` (`include/uapi/linux/eventpoll.h`). */
export const epollParams = defineStruct("epoll_params", 8, {
  usecs: [0, "u32"],
  budget: [4, "u16"],
  prefer: [6, "u8"],
});

/** `_IOR(0x8A, 0x02, struct epoll_params)`. */
const EPIOCGPARAMS = 0x80088a02;

/** Whether an instance was told to poll. @param fd a descriptor of it here */
export function pollsBusily(fd: number): boolean {
  const bytes = epollParams.make({});
  // A kernel that cannot be asked cannot be told either.
  if (ioctl(fd, EPIOCGPARAMS, bytes) < 0) return false;
  const { usecs, budget, prefer } = epollParams.read(bytes);
  return usecs !== 0 || budget !== 0 || prefer !== 0;
}
