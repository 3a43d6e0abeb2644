/**
 * What errors mean of calls that need reserved huge pages.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";

/** Says why there is no memory for a mapping of reserved pages (ENOMEM), or for what is in it (EFAULT). */
export function explainNoPages(errno: string): StasisError | undefined {
  if (errno !== "ENOMEM" && errno !== "EFAULT") return undefined;
  return new StasisError("conflict", "there are not enough huge pages reserved on this machine", {
    errno,
    hint: "reserve more (/proc/sys/vm/nr_hugepages, /sys/kernel/mm/hugepages)",
  });
}
