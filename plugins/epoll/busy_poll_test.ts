import { equal } from "@std/assert";
import { isErrno } from "../../core/linux/errno.ts";
import { ioctl, syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { epollParams, pollsBusily } from "./busy_poll.ts";

/** `_IOW(0x8A, 0x01, struct epoll_params)`. */
const EPIOCSPARAMS = 0x40088a01;

Deno.test("pollsBusily() knows an instance that was told to, where the kernel can be told", () => {
  const result = syscall(SYSCALLS.epoll_create1, 0o2000000);
  equal(isErrno(result), false);
  using instance = new OwnedDescriptor(Number(result));
  equal(pollsBusily(instance.fd), false);
  const params = epollParams.make({ usecs: 50, budget: 8, prefer: 1 });
  const isTold = ioctl(instance.fd, EPIOCSPARAMS, params) === 0;
  equal(pollsBusily(instance.fd), isTold);
});
