import assert from "@std/assert";
import { readStatus } from "../../core/linux/procfs/mod.ts";
import { inability } from "./ability.ts";
import { allowsSpeculation } from "./speculation.ts";

const ROOT = { seccomp: 0, caps: { ...readStatus(Deno.pid).caps, effective: 1n << 21n } } as const;
const INITIAL = "         0          0 4294967295\n";

Deno.test("inability() is none for root of the machine without seccomp", () => {
  assert.equal(inability(ROOT, INITIAL), undefined);
});

Deno.test("inability() names what is missing", () => {
  assert.match(inability({ ...ROOT, seccomp: 2 }, INITIAL) ?? "", /under seccomp itself/);
  const caps = { ...ROOT.caps, effective: ~(1n << 21n) };
  assert.match(inability({ ...ROOT, caps }, INITIAL) ?? "", /no CAP_SYS_ADMIN/);
  assert.match(inability(ROOT, "0 1000 1\n") ?? "", /user namespace/);
});

Deno.test("allowsSpeculation() is true only where a filter would have forbidden it", () => {
  const machine = "Mitigation: Speculative Store Bypass disabled via prctl and seccomp";
  assert.equal(allowsSpeculation("thread vulnerable", machine), true);
  assert.equal(allowsSpeculation("thread force mitigated", machine), false);
  assert.equal(allowsSpeculation("thread vulnerable", machine.replace(" and seccomp", "")), false);
  assert.equal(allowsSpeculation(undefined, machine), false);
});
