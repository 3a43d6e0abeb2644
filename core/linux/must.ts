/**
 * Calls that are not expected to fail.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";

/**
 * What a call has returned.
 *
 * @param what the call, for people: `bind()`
 * @throws {StasisError} `syscall` where it has failed
 */
export function must(result: bigint, what: string): number {
  if (!isErrno(result)) return Number(result);
  const errno = errnoName(-result);
  throw new StasisError("syscall", `${what} failed: ${errno}`, { errno });
}
