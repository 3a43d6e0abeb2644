/**
 * Capability sets, capabilities(7): `struct __user_cap_header_struct` and `__user_cap_data_struct` of
 * `include/uapi/linux/capability.h`, and names for messages.
 *
 * @module
 */
import { defineStruct } from "../../core/linux/struct.ts";

/** The capabilities by number. */
const NAMES = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
  "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT " +
  "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE " +
  "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ " +
  "PERFMON BPF CHECKPOINT_RESTORE"
).split(" ");

/** The capabilities of a set in ascending order. */
export function capabilitiesOf(set: bigint): number[] {
  const found: number[] = [];
  for (let number = 0; set >> BigInt(number) !== 0n; number++) {
    if ((set >> BigInt(number) & 1n) === 1n) found.push(number);
  }
  return found;
}

/** The names of a set's capabilities, for a message. */
export function capabilityNames(set: bigint): string {
  return capabilitiesOf(set).map((number) => {
    const name = NAMES[number];
    return name === undefined ? `capability ${number}` : `CAP_${name}`;
  }).join(", ");
}

/** `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits, in two data structures of 32 each. */
const VERSION_3 = 0x20080522;

/** The header that capset(2) takes; 0 as pid is the caller. */
export const CAPABILITY_HEADER: Uint8Array = defineStruct("__user_cap_header_struct", 8, {
  version: [0, "u32"],
  pid: [4, "i32"],
}).make({ version: VERSION_3 });

const data = defineStruct("__user_cap_data_struct", 12, {
  effective: [0, "u32"],
  permitted: [4, "u32"],
  inheritable: [8, "u32"],
});

/** The three sets as capset(2) takes them. */
export function capabilityData(
  sets: { readonly effective: bigint; readonly permitted: bigint; readonly inheritable: bigint },
): Uint8Array {
  const bytes = new Uint8Array(2 * data.size);
  [0, 1].forEach((half) => {
    const word = (set: bigint): number => Number(set >> BigInt(half * 32) & 0xffffffffn);
    data.write(bytes, {
      effective: word(sets.effective),
      permitted: word(sets.permitted),
      inheritable: word(sets.inheritable),
    }, half * data.size);
  });
  return bytes;
}
