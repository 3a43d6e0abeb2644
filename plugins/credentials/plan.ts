/**
 * The calls that give a thread its credentials. They begin with all of the tool's own privileges, and each
 * needs some of what a later one takes away, so the order is forced (`kernel/sys.c`, `security/commoncap.c`):
 *
 * 1. SECBIT_NO_SETUID_FIXUP, so that leaving uid 0 clears no capabilities (cap_task_fix_setuid()).
 * 2. Groups and ids; the file system ids last, since setresuid(2) sets them too.
 * 3. The inheritable set, with everything else kept: it may be larger than the bounding set to come
 *    (cap_capset()).
 * 4. The bounding set is cut down; needs CAP_SETPCAP.
 * 5. Ambient capabilities: must be permitted and inheritable, and are kept by the capset(2) below.
 * 6. The final securebits; need CAP_SETPCAP, and may forbid 5.
 * 7. The final sets.
 * 8. no_new_privs.
 *
 * Without CAP_SETPCAP and CAP_SETGID they are the calls that change something and need none: what would need one and
 * change something has been refused ({@link credentialProblem}).
 *
 * @module
 */
import type { creds_entry } from "../../images/gen/credentials_pb.ts";
import { joinWords } from "../../images/words.ts";
import { CAP } from "../../core/linux/capability.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { Privileges } from "../../core/plugin.ts";
import {
  capabilitiesOf,
  CAPABILITY_HEADER,
  capabilityData,
  capabilityNames,
} from "./capability.ts";

/** prctl(2), from `include/uapi/linux/prctl.h`. */
const PR = {
  CAPBSET_DROP: 24,
  SET_SECUREBITS: 28,
  SET_NO_NEW_PRIVS: 38,
  CAP_AMBIENT: 47,
} as const;
/** prctl(PR_CAP_AMBIENT). */
const PR_CAP_AMBIENT_RAISE = 2, PR_CAP_AMBIENT_CLEAR_ALL = 4;
/** `1 << SECURE_NO_SETUID_FIXUP` (`include/uapi/linux/securebits.h`). */
const SECBIT_NO_SETUID_FIXUP = 4;

/** The capability sets of an image as numbers. */
export function imageCaps(creds: creds_entry) {
  return {
    inheritable: joinWords(creds.capInh),
    permitted: joinWords(creds.capPrm),
    effective: joinWords(creds.capEff),
    bounding: joinWords(creds.capBnd),
    ambient: joinWords(creds.capAmb),
  };
}

/**
 * Why these credentials cannot be given.
 *
 * @param own what this process has
 * @returns one sentence without a full stop, or undefined
 */
export function credentialProblem(creds: creds_entry, own: Privileges): string | undefined {
  const caps = imageCaps(creds);
  const missing = (caps.permitted | caps.effective | caps.inheritable | caps.ambient) &
    ~own.caps.permitted;
  if (missing !== 0n) {
    return `it had capabilities that this process lacks: ${capabilityNames(missing)}`;
  }
  if (own.noNewPrivs && (creds.noNewPrivs ?? 0) === 0) {
    return "this process has no_new_privs set, and what it makes cannot be without";
  }
  return idsProblem(creds, own) ?? settingsProblem(creds, own);
}

function may(own: Privileges, capability: bigint): boolean {
  return (own.caps.permitted & capability) !== 0n;
}

/** Whether other groups can be had. */
function mayChangeGroups(own: Privileges): boolean {
  return may(own, CAP.SETGID) && !own.idsAreFixed;
}

function hasGroups(creds: creds_entry, own: Privileges): boolean {
  const sorted = (groups: readonly number[]) => String([...groups].sort((a, b) => a - b));
  return sorted(creds.groups) === sorted(own.groups);
}

function idsProblem(creds: creds_entry, own: Privileges): string | undefined {
  const { uid, euid, suid, fsuid, gid, egid, sgid, fsgid } = creds;
  const other = (ids: readonly number[], had: readonly number[]) =>
    ids.find((id) => !had.includes(id));
  const user = other([uid, euid, suid, fsuid], own.uids);
  const instead = own.idsAreFixed ? "its user namespace has no others" : "CAP_SETUID is missing";
  if (user !== undefined && (own.idsAreFixed || !may(own, CAP.SETUID))) {
    return `it had the user id ${user}, and this process can only give ${own.uids[1]} (${instead})`;
  }
  const group = other([gid, egid, sgid, fsgid], own.gids);
  if (group !== undefined && !mayChangeGroups(own)) {
    return `it had the group id ${group}, and this process can only give ${own.gids[1]} (${
      instead.replace("SETUID", "SETGID")
    })`;
  }
  if (!hasGroups(creds, own) && !mayChangeGroups(own)) {
    return `it had the groups ${
      creds.groups.join(", ") || "(none)"
    }, and this process can only give its own, ${own.groups.join(", ") || "none"} (${
      instead.replace("SETUID", "SETGID")
    })`;
  }
  return undefined;
}

function settingsProblem(creds: creds_entry, own: Privileges): string | undefined {
  if (may(own, CAP.SETPCAP)) return undefined;
  if (creds.secbits !== own.securebits) {
    return `it had the securebits 0x${
      creds.secbits.toString(16)
    }, and CAP_SETPCAP is missing to set them`;
  }
  const dropped = own.caps.bounding & ~imageCaps(creds).bounding;
  return dropped === 0n
    ? undefined
    : `it could not get ${capabilityNames(dropped)}, and CAP_SETPCAP is missing to see to that`;
}

/** The capabilities that a program could get once and never again: nobody can widen a bounding set. */
export function lostFromBounding(creds: creds_entry, own: Privileges): bigint {
  return imageCaps(creds).bounding & ~own.caps.bounding;
}

/** Adds the calls. @param own what the thread starts with */
export function planCredentials(
  program: SyscallProgram,
  creds: creds_entry,
  own: Privileges,
): void {
  const caps = imageCaps(creds);
  const maySetBits = may(own, CAP.SETPCAP);
  if (maySetBits) program.call("prctl", PR.SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
  if (mayChangeGroups(own)) {
    const groups = new Uint8Array(new Uint32Array(creds.groups).buffer);
    program.call("setgroups", creds.groups.length, creds.groups.length === 0 ? 0 : groups);
  }
  program.call("setresgid", creds.gid, creds.egid, creds.sgid);
  program.call("setresuid", creds.uid, creds.euid, creds.suid);
  if (creds.fsgid !== creds.egid) setFsId(program, "setfsgid", creds.fsgid);
  if (creds.fsuid !== creds.euid) setFsId(program, "setfsuid", creds.fsuid);
  program.call(
    "capset",
    CAPABILITY_HEADER,
    capabilityData({
      inheritable: caps.inheritable,
      permitted: own.caps.permitted,
      effective: own.caps.permitted,
    }),
  );
  for (const number of capabilitiesOf(own.caps.bounding & ~caps.bounding)) {
    program.call("prctl", PR.CAPBSET_DROP, number, 0, 0, 0);
  }
  program.call("prctl", PR.CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (const number of capabilitiesOf(caps.ambient)) {
    program.call("prctl", PR.CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0);
  }
  if (maySetBits) program.call("prctl", PR.SET_SECUREBITS, creds.secbits, 0, 0, 0);
  program.call("capset", CAPABILITY_HEADER, capabilityData(caps));
  if ((creds.noNewPrivs ?? 0) !== 0) program.call("prctl", PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/** setfsuid(2) and setfsgid(2) tell no errors, but what was before: asked again it must be what was set. */
function setFsId(program: SyscallProgram, call: "setfsuid" | "setfsgid", id: number): void {
  program.try(call, id);
  program.expect(BigInt(id), call, id);
}
