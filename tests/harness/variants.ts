/**
 * Every test subject with the arguments that make it test something else: what the self-test of the
 * subjects runs without any checkpoint, and what the live tests run with one.
 *
 * @module
 */

/** The subjects by name; each list of arguments is one variant, and `[]` is the plain one. */
export const VARIANTS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  clear_tid: [[]],
  creds_caps: [["root"], ["user"], ["threads"], ["securebits"], ["nnp"]],
  epoll: [[]],
  epoll_numbers: [[], ["500"]],
  eventfd: [[]],
  fifo: [[]],
  files_corners: [[]],
  files_regular: [[]],
  files_shared_between: [[]],
  ghosts: [[]],
  mem_anon: [[], ["32"]],
  mem_brk: [[]],
  mem_cow: [[]],
  mem_extra: [[]],
  mem_file_names: [[]],
  mem_file_private: [[]],
  mem_file_shared: [[]],
  mem_growsdown: [[]],
  mem_limits: [["nofile"], ["fsize"], ["unreadable"], ["space"], ["locked"]],
  mem_lock_guards: [["mlock"], ["onfault"], ["current"], ["all"]],
  mem_madvise: [[]],
  mem_many: [["1000"]],
  mem_memfd: [[]],
  mem_memfd_exe: [[]],
  mem_mlock: [[], ["future"]],
  mem_protnone_guard: [[], ["guard"]],
  mem_seals: [[]],
  mem_shared_anon_fork: [["2"], ["8"]],
  paths: [[]],
  paths_long: [[]],
  mem_vdso: [["code"], ["data"], ["all"], ["moved"], ["protected"]],
  mixed: [
    [
      "1=proc@0:fs",
      "2=pipe@1:n=100",
      "3=thread@1",
      "4=proc@3:files",
      "5=map@4:shared",
      "6=wait@4:poll",
    ],
    [
      "busy",
      "1=file@0",
      "2=proc@0",
      "3=map@2:pages=8,ro=1,hole=2",
      "4=dispatch@2:block",
      "5=stop@2",
    ],
  ],
  pipes: [[], ["stream"]],
  regs_trap_flag: [["call"], ["run"]],
  regs_xstate: [[]],
  restart_futex: [["forever"], ["timeout"], ["wake"], ["absolute"]],
  restart_nanosleep: [["plain"], ["rem"], ["abs"]],
  restart_pause: [["pause"], ["sigsuspend"], ["select"]],
  restart_poll: [["event"], ["timeout"], ["forever"]],
  restart_read: [["read"], ["write"]],
  restart_wait4: [[]],
  robust_list: [[]],
  rseq: [[]],
  rseq_section: [[]],
  seccomp_chain: [["1"], ["2"], ["30"], ["1", "4096"], ["7", "4096"]],
  seccomp_guard: [["4"]],
  seccomp_notify: [["with"], ["without"]],
  seccomp_restart: [["nanosleep"], ["poll"], ["futex"]],
  seccomp_strict: [[]],
  seccomp_threads: [["tsync", "50"], ["large", "10"], ["grown", "10"], ["own", "10"], [
    "strict",
    "4",
  ]],
  seccomp_tree: [[]],
  seccomp_verdicts: [[]],
  sig_altstack: [[], ["autodisarm"]],
  sig_handlers: [[]],
  sig_masks: [["4"]],
  sig_pending: [[]],
  sig_stopped: [[]],
  signalfd: [[]],
  sud_allow: [[]],
  sud_block: [[], ["busy"]],
  sud_blocked_in_call: [["read"], ["futex"], ["nanosleep"]],
  sud_empty_range: [[]],
  sud_fork: [[]],
  sud_guard: [["4"]],
  sud_in_handler: [[], ["alt"], ["nested"], ["alt", "nested"]],
  sud_inclusive: [[], ["null"]],
  sud_leave: [[]],
  sud_null_selector: [[]],
  sud_pending: [["thread"], ["process"]],
  sud_threads: [["4"], ["4", "gs"], ["16"]],
  sud_unhandled: [["default"], ["ignored"], ["pending"]],
  tables_shared: [["24"]],
  task_attrs: [[]],
  task_chroot: [[]],
  task_settings: [[]],
  threads_many: [["100"]],
  timer_ended: [[]],
  timer_itimer: [["long"], ["ticking"]],
  timer_posix: [[]],
  timerfd: [[]],
  tls_bases: [[]],
  tree_kin: [[]],
  tree_many: [["30"], ["20", "1"]],
  tree_sessions: [[]],
  unix_datagrams: [[]],
  unix_options: [[]],
  unix_pairs: [["stream"], ["dgram"], ["seqpacket"], ["stream", "plain"], ["dgram", "plain"], [
    "seqpacket",
    "plain",
  ]],
  unix_service: [["stream"], ["seqpacket"]],
  waits: [["relative"], ["eintr"]],
  zombies: [[]],
};

/** A variant as a test is named after it: `sud_block busy`. */
export function variantName(name: string, args: readonly string[]): string {
  return [name, ...args].join(" ");
}

/** All pairs of subject and arguments, flat. `prefix` picks the subjects whose names start with it. */
export function allVariants(prefix = ""): { name: string; args: readonly string[] }[] {
  return Object.entries(VARIANTS)
    .filter(([name]) => name.startsWith(prefix))
    .flatMap(([name, variants]) => variants.map((args) => ({ name, args })));
}
