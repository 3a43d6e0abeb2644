import { create } from "@bufbuild/protobuf";
import { deepEqual, equal, match, ok } from "@std/assert";
import { creds_entrySchema } from "../../images/gen/credentials_pb.ts";
import { splitWords } from "../../images/words.ts";
import type { Privileges } from "../../core/plugin.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { capabilitiesOf, capabilityData, capabilityNames } from "./capability.ts";
import { credentialProblem, lostFromBounding, planCredentials } from "./plan.ts";

const FULL = (1n << 41n) - 1n;
const NONE = { inheritable: 0n, permitted: 0n, effective: 0n, bounding: FULL, ambient: 0n };
const OWN: Privileges = {
  caps: { ...NONE, permitted: FULL, effective: FULL },
  noNewPrivs: false,
  uids: [0, 0, 0, 0],
  gids: [0, 0, 0, 0],
  groups: [],
  securebits: 0,
  idsAreFixed: false,
};

function image(caps: Partial<typeof NONE>, more: { uid?: number; noNewPrivs?: number } = {}) {
  const all = { ...NONE, ...caps };
  const uid = more.uid ?? 1000;
  return create(creds_entrySchema, {
    uid,
    euid: uid,
    suid: uid,
    fsuid: uid,
    gid: 100,
    egid: 100,
    sgid: 100,
    fsgid: 100,
    groups: [100, 200],
    capInh: splitWords(all.inheritable),
    capPrm: splitWords(all.permitted),
    capEff: splitWords(all.effective),
    capBnd: splitWords(all.bounding),
    capAmb: splitWords(all.ambient),
    secbits: 0x2f,
    noNewPrivs: more.noNewPrivs,
  });
}

/** The calls with their numbers: what stands in memory is left out. */
function lines(creds: ReturnType<typeof image>): string[] {
  const program = new SyscallProgram("credentials");
  planCredentials(program, creds, OWN);
  return program.calls.map(({ name, args }) =>
    [name, ...args.filter((one) => typeof one === "number" && one !== 0)].join(" ")
  );
}

Deno.test("planCredentials() takes each privilege away after its last use", () => {
  const NET_ADMIN = 1n << 12n;
  const calls = lines(image({
    permitted: NET_ADMIN,
    effective: NET_ADMIN,
    inheritable: NET_ADMIN | 1n,
    ambient: NET_ADMIN,
    bounding: FULL & ~1n,
  }, { noNewPrivs: 1 }));
  deepEqual(calls, [
    "prctl 28 4", // PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP
    "setgroups 2",
    "setresgid 100 100 100",
    "setresuid 1000 1000 1000",
    "capset",
    "prctl 24", // PR_CAPBSET_DROP, CAP_CHOWN
    "prctl 47 4", // PR_CAP_AMBIENT, CLEAR_ALL
    "prctl 47 2 12", // PR_CAP_AMBIENT, RAISE, CAP_NET_ADMIN
    "prctl 28 47", // PR_SET_SECUREBITS, the final ones
    "capset",
    "prctl 38 1", // PR_SET_NO_NEW_PRIVS
  ]);
});

Deno.test("planCredentials() sets file system ids that are not the effective ones, and looks", () => {
  const creds = image({});
  creds.fsuid = 7;
  const calls = lines(creds);
  const at = calls.findIndex((line) => line.startsWith("setfsuid 7"));
  ok(at > calls.findIndex((line) => line.startsWith("setresuid")));
  equal(calls[at + 1], calls[at]);
});

Deno.test("credentialProblem() names what this process cannot give", () => {
  const weak = { ...OWN, caps: { ...OWN.caps, permitted: FULL & ~(1n << 24n) } };
  equal(credentialProblem(image({ permitted: FULL }), OWN), undefined);
  match(credentialProblem(image({ permitted: FULL }), weak) ?? "", /CAP_SYS_RESOURCE$/);
  // What is only in the bounding set is no privilege that the program had.
  equal(credentialProblem(image({}), weak), undefined);
  match(credentialProblem(image({}), { ...OWN, noNewPrivs: true }) ?? "", /no_new_privs/);
  equal(credentialProblem(image({}, { noNewPrivs: 1 }), { ...OWN, noNewPrivs: true }), undefined);
});

Deno.test("credentialProblem() and planCredentials() know what needs no privilege", () => {
  const user: Privileges = {
    ...OWN,
    caps: NONE,
    uids: [1000, 1000, 1000, 1000],
    gids: [100, 100, 100, 100],
    groups: [200, 100],
    securebits: 0x2f,
  };
  const inside: Privileges = { ...user, caps: OWN.caps, securebits: 0, idsAreFixed: true };
  for (const own of [user, inside]) {
    equal(credentialProblem(image({}), own), undefined);
    match(
      credentialProblem(image({}, { uid: 1001 }), own) ?? "",
      /user id 1001, .* only give 1000/,
    );
    const group = image({});
    group.egid = 7;
    match(credentialProblem(group, own) ?? "", /group id 7, .* only give 100/);
    const groups = image({});
    groups.groups = [100];
    match(credentialProblem(groups, own) ?? "", /groups 100, .* its own, 200, 100/);
  }
  match(credentialProblem(image({ bounding: 1n }), user) ?? "", /CAP_SETPCAP is missing/);
  match(credentialProblem(image({}), { ...user, securebits: 0 }) ?? "", /the securebits 0x2f/);
  const names = (own: Privileges) => {
    const program = new SyscallProgram("credentials");
    planCredentials(program, image({}), own);
    return program.calls.map(({ name }) => name);
  };
  deepEqual(names(user), ["setresgid", "setresuid", "capset", "prctl", "capset"]);
  ok(!names(inside).includes("setgroups"));
});

Deno.test("capabilityData() splits 64-bit sets into the kernel's two structures", () => {
  const bytes = capabilityData({
    effective: 1n,
    permitted: 1n << 40n | 2n,
    inheritable: 1n << 32n,
  });
  deepEqual([...new Uint32Array(bytes.buffer)], [1, 2, 0, 0, 1 << 8, 1]);
});

Deno.test("capabilityNames() has a name or a number for every bit", () => {
  deepEqual(capabilitiesOf(1n << 40n | 1n), [0, 40]);
  equal(capabilityNames(1n << 40n | 1n), "CAP_CHOWN, CAP_CHECKPOINT_RESTORE");
  equal(capabilityNames(1n << 63n), "capability 63");
});

Deno.test("lostFromBounding() knows what a narrower bounding set takes", () => {
  const NET_ADMIN = 1n << 12n;
  const own = { ...OWN, caps: { ...OWN.caps, bounding: FULL & ~NET_ADMIN } };
  equal(lostFromBounding(image({}), OWN), 0n);
  equal(lostFromBounding(image({}), own), NET_ADMIN);
  equal(lostFromBounding(image({ bounding: 1n }), own), 0n);
});
