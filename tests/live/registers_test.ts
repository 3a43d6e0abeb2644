import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, leavesAlone } from "./round_trip.ts";

/** Subjects whose state is in registers, or in what the kernel keeps at addresses of a thread. */
const SUBJECTS = [
  "clear_tid",
  "regs_trap_flag",
  "regs_xstate",
  "restart_futex",
  "restart_nanosleep",
  "restart_pause",
  "restart_poll",
  "restart_read",
  "restart_wait4",
  "robust_list",
  "rseq",
  "rseq_section",
  "threads_many",
  "tls_bases",
];

/** Inside of sigsuspend() the mask is another; a restored thread is there when it has made the call again. */
const IGNORED: Readonly<Record<string, readonly RegExp[]>> = {
  ...Object.fromEntries(
    // The thread has waited its time out by then, on a machine that is slow enough.
    [
      "restart_futex timeout",
      "restart_nanosleep plain",
      "restart_nanosleep rem",
      "restart_nanosleep abs",
      "restart_poll timeout",
    ].map((title) => [title, [/\/thread\//, /status\/Threads$/]]),
  ),
  "restart_pause sigsuspend": [/status\/SigBlk/],
  // A step's SIGTRAP is on its way, or in its handler.
  "regs_trap_flag run": [/status\/(SigBlk|SigPnd)/],
};

for (const name of SUBJECTS) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    const options = { args, ignore: IGNORED[title] };
    Deno.test(`${title}: it is what it was after a restore`, (t) => bringsBack(t, name, options));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, options));
  }
}
