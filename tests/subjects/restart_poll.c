/*
 * poll() that a freeze interrupts.
 * Usage: restart_poll [event|timeout|forever]
 *   event: with a long timeout (ERESTART_RESTARTBLOCK), ended by data in a pipe after SIGTERM
 *   timeout: ends by its timeout of 1.5 s
 *   forever: without a timeout
 */
#include "restart.h"

#include <poll.h>

#define TIMEOUT_MS 1500

static const char *kind;
static int ends[2];
static struct pollfd fd;

static long call(void)
{
	fd = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	return syscall(SYS_poll, &fd, 1,
		       !strcmp(kind, "timeout") ? TIMEOUT_MS : !strcmp(kind, "event") ? 1000000 : -1);
}

int main(int argc, char **argv)
{
	kind = arg(argc, argv, 1, "event");
	subject_init();
	if (pipe(ends))
		die("pipe");
	pthread_t thread = start_call(call, SYS_poll);
	ready();
	wait_for_term();
	double term = now_s();
	if (!strcmp(kind, "timeout")) {
		check_result(thread, 0);
		check(outcome.ended - outcome.began >= TIMEOUT_MS / 1000.0, "not too early", "%.3f s",
		      outcome.ended - outcome.began);
		check(outcome.ended - term <= TIMEOUT_MS / 1000.0 + 1, "ends in time",
		      "%.3f s after SIGTERM", outcome.ended - term);
		finish();
	}
	check_blocked();
	if (write(ends[1], "x", 1) != 1)
		die("write");
	check_result(thread, 1);
	check_equal("revents", fd.revents, POLLIN);
	finish();
}
