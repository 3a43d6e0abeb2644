/*
 * A futex wait that a freeze interrupts.
 * Usage: restart_futex [forever|timeout|wake|absolute|pi]
 *   forever: no timeout (ERESTARTSYS); timeout: ends by its timeout of 1.5 s (ERESTART_RESTARTBLOCK);
 *   wake: with a long timeout, woken after SIGTERM; absolute: FUTEX_WAIT_BITSET to a point in time;
 *   pi: FUTEX_LOCK_PI of a lock that the first thread has (ERESTARTNOINTR)
 */
#include "restart.h"

#include <linux/futex.h>

#define TIMEOUT_MS 1500

static const char *kind;
static uint32_t word;

static long call(void)
{
	struct timespec limit = { 1, 500000000 };

	if (!strcmp(kind, "forever"))
		return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	if (!strcmp(kind, "pi"))
		return syscall(SYS_futex, &word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
	if (!strcmp(kind, "absolute")) {
		clock_gettime(CLOCK_MONOTONIC, &limit);
		limit.tv_sec += 1000;
		return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &limit, NULL, 1);
	}
	if (!strcmp(kind, "wake"))
		limit.tv_sec = 1000;
	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0);
}

int main(int argc, char **argv)
{
	kind = arg(argc, argv, 1, "forever");
	subject_init();
	if (!strcmp(kind, "pi") && syscall(SYS_futex, &word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0))
		die("FUTEX_LOCK_PI");
	pthread_t thread = start_call(call, SYS_futex);
	ready();
	wait_for_term();
	double term = now_s();
	if (!strcmp(kind, "timeout")) {
		check_result(thread, -1);
		check_equal("errno", outcome.error, ETIMEDOUT);
		check(outcome.ended - outcome.began >= TIMEOUT_MS / 1000.0, "not too early", "%.3f s",
		      outcome.ended - outcome.began);
		check(outcome.ended - term <= TIMEOUT_MS / 1000.0 + 1, "ends in time",
		      "%.3f s after SIGTERM", outcome.ended - term);
		finish();
	}
	check_blocked();
	if (!strcmp(kind, "pi")) {
		check_equal("owner", word & FUTEX_TID_MASK, own_tid());
		check_equal("unlocked", syscall(SYS_futex, &word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
		check_result(thread, 0);
		check_equal("next owner", word & FUTEX_TID_MASK, outcome.tid);
		finish();
	}
	long woken = syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	check_equal("woken", woken, 1);
	check_result(thread, 0);
	finish();
}
