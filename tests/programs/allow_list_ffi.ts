/**
 * A list of system calls of systemd's as a filter, made by the library by which systemd makes it for a service with
 * `SystemCallFilter=@system-service` and `SystemCallErrorNumber=EPERM`: what is on the list is allowed, the rest fails
 * with EPERM.
 *
 * @module
 */
import assert from "@std/assert";
import { cString, pread, syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

/** SCMP_ACT_ALLOW and SCMP_ACT_ERRNO(EPERM) (`seccomp.h` of libseccomp). */
const ALLOW = 0x7fff0000, EPERM = 0x00050001;
/** __NR_SCMP_ERROR: no such call. */
const UNKNOWN = -1;
/** More than any list comes to. */
const MOST_BYTES = 1 << 16;

/**
 * The filter of a list.
 *
 * @param list `@system-service`, for example; see systemd.exec(5)
 * @returns its instructions
 */
export async function systemdAllowList(list: string): Promise<Uint8Array> {
  const names = new Set(await members(list));
  const library = Deno.dlopen("libseccomp.so.2", {
    seccomp_init: { parameters: ["u32"], result: "pointer" },
    seccomp_syscall_resolve_name: { parameters: ["buffer"], result: "i32" },
    seccomp_rule_add_array: {
      parameters: ["pointer", "u32", "i32", "u32", "pointer"],
      result: "i32",
    },
    seccomp_export_bpf: { parameters: ["pointer", "i32"], result: "i32" },
    seccomp_release: { parameters: ["pointer"], result: "void" },
  });
  const { symbols } = library;
  const filter = symbols.seccomp_init(EPERM);
  const fd = Number(syscall(SYSCALLS.memfd_create, cString("filter"), 0));
  try {
    for (const name of names) {
      const number = symbols.seccomp_syscall_resolve_name(cString(name));
      // systemd passes by what the library or the architecture does not have, too.
      if (number !== UNKNOWN) symbols.seccomp_rule_add_array(filter, ALLOW, number, 0, null);
    }
    assert.equal(symbols.seccomp_export_bpf(filter, fd), 0);
    const bytes = new Uint8Array(MOST_BYTES);
    return bytes.subarray(0, pread(fd, bytes, 0n));
  } finally {
    syscall(SYSCALLS.close, fd);
    symbols.seccomp_release(filter);
    library.close();
  }
}

/** The names on a list, those of the lists that it names included. */
async function members(list: string): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command("systemd-analyze", {
    args: ["syscall-filter", list],
  }).output();
  const decoder = new TextDecoder();
  assert.ok(success, decoder.decode(stderr));
  const words = decoder.decode(stdout).split("\n").slice(1).map((line) => line.trim())
    .filter((word) => word !== "" && !word.startsWith("#"));
  const found = await Promise.all(
    words.map((word) => word.startsWith("@") ? members(word) : [word]),
  );
  return found.flat();
}
