/**
 * The list of all state is whole, as far as this machine can tell, and what it says is shown by tests that are
 * there: a field, a file or a setting that a new kernel has fails here until somebody has looked at it.
 */

import assert from "@std/assert";
import { readLimits, VM_FLAGS } from "../core/linux/procfs/mod.ts";
import { VARIANTS } from "../tests/harness/variants.ts";

const DOCUMENT = new URL("support.md", import.meta.url);
const TEXT = await Deno.readTextFile(DOCUMENT);

/** What becomes of state: the first word of the third column. */
const VERDICTS = ["saved", "refused", "noted", "fresh", "unseen", "nothing"];

/** What a test can show. */
const SHOWN = ["saved", "refused", "noted"];
/** What takes a machine or a kernel that tests cannot count on. */
const UNSHOWN = [
  "I/O port permissions",
  "shadow stack",
  "core scheduling",
  "cache allocation group",
  "NUMA policy of mappings",
];

/** The rows of all tables, cell by cell. */
const ROWS = TEXT.split("\n")
  .filter((line) => line.startsWith("|") && !/^\| (what|-+) /.test(line))
  .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));

/** Every name that the document has between backticks. */
const NAMES = new Set([...TEXT.matchAll(/`([^`]+)`/g)].map(([, name]) => name));

/** Fields of `/proc/PID/stat`, in the order of proc_pid_stat(5). */
const STAT_FIELDS = (
  "pid comm state ppid pgrp session tty_nr tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime " +
  "priority nice num_threads itrealvalue starttime vsize rss rsslim startcode endcode startstack kstkesp kstkeip " +
  "signal blocked sigignore sigcatch wchan nswap cnswap exit_signal processor rt_priority policy " +
  "delayacct_blkio_ticks guest_time cguest_time start_data end_data start_brk arg_start arg_end env_start env_end " +
  "exit_code"
).split(" ");

/**
 * What prctl(2) can be asked up to Linux 6.18 (`include/uapi/linux/prctl.h`), with those that can be set and not
 * be asked.
 */
const PRCTL = (
  "PR_GET_PDEATHSIG PR_GET_DUMPABLE PR_GET_UNALIGN PR_GET_KEEPCAPS PR_GET_FPEMU PR_GET_FPEXC PR_GET_TIMING " +
  "PR_GET_NAME PR_GET_ENDIAN PR_GET_SECCOMP PR_CAPBSET_READ PR_GET_TSC PR_GET_SECUREBITS PR_GET_TIMERSLACK " +
  "PR_MCE_KILL_GET PR_GET_CHILD_SUBREAPER PR_GET_NO_NEW_PRIVS PR_GET_TID_ADDRESS PR_GET_THP_DISABLE " +
  "PR_GET_FP_MODE PR_CAP_AMBIENT PR_SVE_GET_VL PR_GET_SPECULATION_CTRL PR_GET_TAGGED_ADDR_CTRL " +
  "PR_GET_IO_FLUSHER PR_SET_SYSCALL_USER_DISPATCH PR_PAC_GET_ENABLED_KEYS PR_SCHED_CORE PR_SME_GET_VL " +
  "PR_GET_MDWE PR_GET_MEMORY_MERGE PR_RISCV_V_GET_CONTROL PR_PPC_GET_DEXCR PR_GET_SHADOW_STACK_STATUS " +
  "PR_TIMER_CREATE_RESTORE_IDS PR_FUTEX_HASH PR_GET_AUXV PR_SET_PTRACER PR_SET_VMA"
).split(" ");

function lacking(names: Iterable<string>): string[] {
  return [...names].filter((name) => !NAMES.has(name));
}

/** The names of a header of user space; none where it is not installed. */
function defined(header: string, pattern: RegExp): string[] {
  try {
    const text = Deno.readTextFileSync(`/usr/include/${header}`);
    return [...text.matchAll(pattern)].map(([, name]) => name!);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

Deno.test("support: every row says what becomes of its state, and names the test that shows it", () => {
  assert.ok(ROWS.length > 150);
  for (const [what, , becomes, shown] of ROWS) {
    const verdict = /^\w+/.exec(becomes!)?.[0] ?? "";
    assert.ok(VERDICTS.includes(verdict), `${what}: ${becomes}`);
    if (SHOWN.includes(verdict) && !UNSHOWN.includes(what!)) {
      assert.notEqual(shown, "", `${what} names no test`);
    }
  }
});

Deno.test("support: every test that is named exists, with the subject or the words that stand behind it", async () => {
  for (const [what, , , shown] of ROWS) {
    const paths = [...shown!.matchAll(/\]\(([^)]+)\)/g)].map(([, path]) => path!);
    const texts = await Promise.all(
      paths.map((path) => Deno.readTextFile(new URL(path, DOCUMENT))),
    );
    for (const text of texts) assert.match(text, /Deno\.test\(/);
    for (const [, word] of shown!.matchAll(/`([^`]+)`/g)) {
      const found = word! in VARIANTS || texts.some((text) => text.includes(word!));
      assert.ok(found, `${what}: nothing is called ${word} in ${paths}`);
    }
  }
});

Deno.test("support: every line of this kernel's /proc/PID/status is in a table", () => {
  const lines = Deno.readTextFileSync("/proc/self/status").trimEnd().split("\n");
  assert.deepEqual(lacking(lines.map((line) => line.split(":")[0]!)), []);
});

Deno.test("support: every field of /proc/PID/stat is in a table, and this kernel has no more", () => {
  assert.deepEqual(lacking(STAT_FIELDS), []);
  const text = Deno.readTextFileSync("/proc/self/stat");
  const behindName = text.slice(text.lastIndexOf(")") + 2).trim().split(" ").length;
  assert.equal(behindName + 2, STAT_FIELDS.length);
});

Deno.test("support: every file of this kernel's /proc/PID and /proc/PID/attr is in a table", () => {
  const whole = TEXT.match(/`[^`]*`/g)!.join(" ");
  for (const directory of ["/proc/self", "/proc/self/attr"]) {
    for (const { name } of Deno.readDirSync(directory)) {
      assert.match(whole, new RegExp(`\\b${name}\\b`), `${directory}/${name}`);
    }
  }
});

Deno.test("support: every resource limit is in a table", () => {
  assert.deepEqual(lacking(readLimits(Deno.pid).map(({ name }) => name)), []);
});

Deno.test("support: everything that prctl(2) and arch_prctl(2) can be asked is in a table", () => {
  const getters = /^#define\s+(PR_\w*GET_\w+|PR_CAPBSET_READ)\s+\d+/gm;
  assert.deepEqual(lacking([...PRCTL, ...defined("linux/prctl.h", getters)]), []);
  const arch = /^#define\s+(ARCH_GET_\w+|ARCH_SHSTK_STATUS)\s+0x/gm;
  const asked = defined("x86_64-linux-gnu/asm/prctl.h", arch);
  // What the processor has, and nothing of a process.
  assert.deepEqual(lacking(asked.filter((name) => name !== "ARCH_GET_XCOMP_SUPP")), []);
});

Deno.test("support: every flag of a mapping that smaps tells on x86-64 is in a table", () => {
  // Of other architectures, of kernels that are gone, and what stands for a flag without a name.
  const others = new Set(["mp", "nl", "bt", "mt", "??"]);
  assert.deepEqual(lacking(Object.keys(VM_FLAGS).filter((code) => !others.has(code))), []);
});

Deno.test("support: everything that fcntl(2) can be asked is in a table", () => {
  const getters = /^#define\s+(F_GET_?[A-Z_]+|F_NOTIFY)\s/gm;
  const names = [
    ...defined("linux/fcntl.h", getters),
    ...defined("asm-generic/fcntl.h", getters),
  ].filter((name) => name !== "F_GETLK64"); // that of 32-bit programs
  assert.deepEqual(lacking(["F_GETFL", "F_GETOWN_EX", "F_GETPIPE_SZ", ...names]), []);
});

Deno.test("support: every option of sockets is in a table", () => {
  const options = defined("asm-generic/socket.h", /^#define\s+(SO_[A-Z_]+)\s/gm)
    // Names of one thing for two sizes of times.
    .map((name) => name.replace(/_(OLD|NEW)$/, ""));
  assert.deepEqual(lacking(["SO_PASSPIDFD", "SO_PASSRIGHTS", ...options]), []);
});
