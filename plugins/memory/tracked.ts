/**
 * Mappings that are registered with a userfaultfd so that somebody outside is told which of their pages are written
 * to (`core/checkpoint/memory_tracking.ts`, or another tool of that kind). With asynchronous protection the kernel does
 * all of it: no access of the program waits, or ends in another way. So there is nothing to save, whoever holds it; if
 * it is the program itself, its descriptor says so.
 *
 * @module
 */
import { offsetAddress, PAGE_SIZE } from "../../core/linux/address.ts";
import { addressOf, ioctl } from "../../core/linux/libc_ffi.ts";
import { scanWritten, type Vma } from "../../core/linux/procfs/mod.ts";
import { openPath } from "./open_path.ts";

const O_RDONLY = 0;

/** Whether a mapping is registered for asynchronous write protection and nothing else. */
export function isTracked(tid: number, { start, flags }: Vma): boolean {
  if (flags.has("um") || flags.has("ui")) return false;
  using pagemap = openPath(`/proc/${tid}/pagemap`, O_RDONLY);
  const page = { start, end: offsetAddress(start, PAGE_SIZE) };
  return scanWritten({ fd: pagemap.fd, ioctl, addressOf }, page, "look") !== undefined;
}
