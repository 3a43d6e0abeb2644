/**
 * What the kernel gives a fresh process.
 *
 * @module
 */

/** Values by attribute. */
export const DEFAULTS = {
  /** In nanoseconds (`init_task.c`: timer_slack_ns). */
  timerSlack: 50_000n,
  /** MMF_DUMP_FILTER_DEFAULT (`include/linux/mm_types.h`, with CONFIG_CORE_DUMP_DEFAULT_ELF_HEADERS). */
  coredumpFilter: 0x33,
} as const;
