import { equal } from "@std/assert";
import { daemonOf } from "./audit.ts";

Deno.test("daemonOf() reads the process of an answer, and nothing of a refusal", () => {
  const answer = new Uint8Array(60);
  answer.set([60, 0, 0, 0, 0xe8, 3]);
  answer.set([0x34, 0x12], 16 + 12);
  equal(daemonOf(answer), 0x1234);
  // NLMSG_ERROR: EPERM.
  const refusal = new Uint8Array(36);
  refusal.set([36, 0, 0, 0, 2, 0]);
  refusal.set([0xff, 0xff, 0xff, 0xff], 16);
  equal(daemonOf(refusal), undefined);
});
