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
 * @module
 */
import type { creds_entry } from "../../images/gen/credentials_pb.ts";
import { joinWords } from "../../images/words.ts";
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
  return undefined;
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
  program.call("prctl", PR.SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
  const groups = new Uint8Array(new Uint32Array(creds.groups).buffer);
  program.call("setgroups", creds.groups.length, creds.groups.length === 0 ? 0 : groups);
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
  program.call("prctl", PR.SET_SECUREBITS, creds.secbits, 0, 0, 0);
  program.call("capset", CAPABILITY_HEADER, capabilityData(caps));
  if ((creds.noNewPrivs ?? 0) !== 0) program.call("prctl", PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/** setfsuid(2) and setfsgid(2) tell no errors, but what was before: asked again it must be what was set. */
function setFsId(program: SyscallProgram, call: "setfsuid" | "setfsgid", id: number): void {
  program.try(call, id);
  program.expect(BigInt(id), call, id);
}
