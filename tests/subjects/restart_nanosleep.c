/*
 * A sleep that a freeze interrupts (ERESTART_RESTARTBLOCK): it goes on until its time is over.
 * Usage: restart_nanosleep [plain|rem|abs] [MS=1500]
 *   rem: with a place for the remaining time, which the kernel fills whenever the sleep is interrupted
 *   abs: clock_nanosleep() to a point in time (which restarts without a restart block)
 *
 * A restored sleep may also end with EINTR, as the manual allows any sleep to, if it then tells the
 * time left where that was asked for; the fact `result` says which it was.
 */
#include "restart.h"

static const char *kind;
static long ms;
static struct timespec rem = { 77, 88 };
static struct timespec request;

static long call(void)
{
	int r;

	if (!strcmp(kind, "abs")) {
		clock_gettime(CLOCK_MONOTONIC, &request);
		request.tv_sec += ms / 1000;
		request.tv_nsec += ms % 1000 * 1000000;
		if (request.tv_nsec >= 1000000000) {
			request.tv_nsec -= 1000000000;
			request.tv_sec++;
		}
		r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &request, NULL);
	} else {
		request = (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
		r = clock_nanosleep(CLOCK_MONOTONIC, 0, &request, !strcmp(kind, "rem") ? &rem : NULL);
	}
	errno = r;
	return r ? -1 : 0;
}

int main(int argc, char **argv)
{
	kind = arg(argc, argv, 1, "plain");
	ms = atol(arg(argc, argv, 2, "1500"));
	subject_init();
	pthread_t thread = start_call(call, SYS_clock_nanosleep);
	ready();
	wait_for_term();
	double term = now_s();
	pthread_join(thread, NULL);
	fact("result", "%ld", outcome.result ? -(long)outcome.error : 0);
	bool cut = outcome.result == -1 && outcome.error == EINTR && strcmp(kind, "abs");
	check(outcome.result == 0 || cut, "result", "%ld, errno %d", outcome.result, outcome.error);
	double slept = outcome.ended - outcome.began;
	check(cut || slept >= ms / 1000.0, "not too early", "%.3f s instead of %ld ms", slept, ms);
	/*
	 * How long it lay in an image is not known in here. But what is left can't be more than the
	 * whole, so it ends at the latest that long after SIGTERM.
	 */
	check(outcome.ended - term <= ms / 1000.0 + 1, "ends in time", "%.3f s after SIGTERM",
	      outcome.ended - term);
	bool untouched = rem.tv_sec == 77 && rem.tv_nsec == 88;
	double left = rem.tv_sec + rem.tv_nsec / 1e9;
	if (!strcmp(kind, "rem"))
		check((untouched && !cut) || (left > 0 && left <= ms / 1000.0), "time left", "%.9f s", left);
	finish();
}
