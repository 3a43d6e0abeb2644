/**
 * Whether a program has another session keyring (keyrings(7)) than this process, whose one a restored program gets.
 *
 * To ask a program which it has would make it one where it has none (lookup_user_key() of
 * `security/keys/process_keys.c`). So a key is put into the keyring of this process that only those may see who
 * possess it, which are those with that keyring; each thread is asked whether it sees that key, which changes nothing.
 *
 * @module
 */
import { Errno, isErrno } from "../../core/linux/errno.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";

/** Operations of keyctl(2) (`include/uapi/linux/keyctl.h`). */
const KEYCTL = { GET_KEYRING_ID: 0, SETPERM: 5, DESCRIBE: 6, UNLINK: 9, SET_TIMEOUT: 15 } as const;
const KEY_SPEC_SESSION_KEYRING = -3;
/** KEY_POS_ALL: everything for its possessors, nothing for others (`include/linux/key.h`). */
const POSSESSORS_ONLY = 0x3f000000;
/** After so many seconds the key is gone, if the tool was killed before it could take it away. */
const LIFE_TIME = 600;

/** A key in the session keyring of this process. */
export class SessionMarker {
  readonly #key: bigint;
  readonly #isFallback: boolean;

  private constructor(key: bigint, isFallback: boolean) {
    this.#key = key;
    this.#isFallback = isFallback;
  }

  /**
   * Puts it there.
   *
   * @param undo takes it away
   * @returns undefined where that is not possible: no keyrings here, or none may be used
   */
  static make(undo: DisposableStack): SessionMarker | undefined {
    const session = keyctl(KEYCTL.GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
    if (isErrno(session)) return undefined;
    const name = cString(`stasis ${crypto.randomUUID()}`);
    const key = syscall(SYSCALLS.add_key, cString("user"), name, Uint8Array.of(0), 1, session);
    if (isErrno(key)) return undefined;
    undo.defer(() => void keyctl(KEYCTL.UNLINK, key, session));
    if (isErrno(keyctl(KEYCTL.SET_TIMEOUT, key, LIFE_TIME))) return undefined;
    if (isErrno(keyctl(KEYCTL.SETPERM, key, POSSESSORS_ONLY))) return undefined;
    return new SessionMarker(key, /;_uid_ses\.\d+$/.test(describe(session)));
  }

  /**
   * Asks threads.
   *
   * @returns tells whether one has another keyring, if that can be told ({@link tellsOf})
   */
  ask(program: SyscallProgram): (reply: ProgramReply) => boolean {
    const asked = program.try("keyctl", KEYCTL.DESCRIBE, this.#key, 0, 0);
    return (reply) => reply.result(asked) === -BigInt(Errno.EACCES);
  }

  /**
   * Whether the answer of a thread means anything. One of another user that has no session keyring falls back to that
   * user's, as after a restore by a tool that has none either: that cannot be told from one of its own.
   *
   * @param uid its real user id
   */
  tellsOf(uid: number): boolean {
    return !this.#isFallback || uid === Deno.uid();
  }
}

/** "keyring;UID;GID;PERMISSIONS;NAME" */
function describe(key: bigint): string {
  const bytes = new Uint8Array(1024);
  const size = syscall(SYSCALLS.keyctl, KEYCTL.DESCRIBE, key, bytes, bytes.byteLength, 0);
  if (isErrno(size)) return "";
  return new TextDecoder().decode(bytes.subarray(0, Number(size))).replace(/\0.*$/s, "");
}

function keyctl(operation: number, ...args: (bigint | number)[]): bigint {
  return syscall(SYSCALLS.keyctl, operation, ...args);
}
