/**
 * How timer_create(2) is had take ids: prctl(2), from `include/uapi/linux/prctl.h`.
 *
 * @module
 */

/** The request, since Linux 6.16. */
export const PR_TIMER_CREATE_RESTORE_IDS = 77;
/** What it is asked for. */
export const RESTORE_IDS = { OFF: 0, ON: 1, GET: 2 } as const;
