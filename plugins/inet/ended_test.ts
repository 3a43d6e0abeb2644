import { equal } from "node:assert/strict";
import { Errno } from "../../core/linux/errno.ts";
import { canEndSo } from "./ended.ts";

const none = new Uint8Array(0), some = new Uint8Array(3);

Deno.test("of connections that are over those are saved that can be made to end so again", () => {
  const cases = [
    [{ error: Errno.ECONNRESET, end: false, received: some }, true],
    [{ error: Errno.EPIPE, end: true, received: none }, true],
    [{ error: Errno.ETIMEDOUT, end: true, received: some }, true],
    [{ error: Errno.ECONNREFUSED, end: false, received: none }, true],
    [{ error: 0, end: false, received: some }, true],
    // Nothing is left of it.
    [{ error: 0, end: true, received: none }, false],
    // It had sent its own end as well: a reset would come before it.
    [{ error: Errno.ECONNRESET, end: true, received: none }, false],
    [{ error: Errno.EPIPE, end: false, received: none }, false],
    // EHOSTUNREACH.
    [{ error: 113, end: false, received: none }, false],
  ] as const;
  for (const [ended, want] of cases) equal(canEndSo(ended), want, JSON.stringify(ended));
});
