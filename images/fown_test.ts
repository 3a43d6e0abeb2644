import { ok } from "@std/assert";
import { isUnowned, NO_OWNER } from "./fown.ts";

Deno.test("isUnowned() sees an owner and a signal without an owner", () => {
  ok(isUnowned(NO_OWNER));
  ok(isUnowned({ ...NO_OWNER, uid: 1000 }));
  ok(!isUnowned({ ...NO_OWNER, pid: 5 }));
  ok(!isUnowned({ ...NO_OWNER, signum: 29 }));
});
