/*
 * timerfd: one-shot and with an interval, on several clocks, disarmed, expired and not yet read, to a
 * point in time, ticking.
 */
#include "files.h"

#include <sys/timerfd.h>

static int make(int clock, int flags, double value, double interval)
{
	struct itimerspec spec = {
		.it_value = { (long)value, (value - (long)value) * 1e9 },
		.it_interval = { (long)interval, (interval - (long)interval) * 1e9 },
	};
	int fd = timerfd_create(clock, flags);

	if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL))
		die("timerfd");
	return fd;
}

static double seconds(struct timespec t)
{
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void check_timer(const char *name, int fd, double value, double interval, double elapsed)
{
	struct itimerspec spec;

	timerfd_gettime(fd, &spec);
	double v = seconds(spec.it_value), i = seconds(spec.it_interval);
	check(i > interval - 1e-6 && i < interval + 1e-6 &&
		      (value == 0 ? v == 0 : v <= value && v > value - elapsed - 0.1),
	      name, "%.6f of %.6f after %.3f s, interval %.6f of %.6f", v, value, elapsed, i, interval);
}

static double now_of(int clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return seconds(t);
}

/* Clocks on which a timer is set to a point in time, which it keeps. */
static const int clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME };

static int make_point(int clock, double *point)
{
	struct itimerspec spec = { .it_value = { (long)now_of(clock) + 5000, 0 } };
	int fd = timerfd_create(clock, 0);
	int flags = TFD_TIMER_ABSTIME | (clock == CLOCK_REALTIME ? TFD_TIMER_CANCEL_ON_SET : 0);

	if (fd < 0 || timerfd_settime(fd, flags, &spec, NULL))
		die("timerfd_settime");
	*point = seconds(spec.it_value);
	return fd;
}

static void check_point(int clock, int fd, double point)
{
	struct itimerspec spec;
	char name[64];

	snprintf(name, sizeof(name), "the point in time on clock %d", clock);
	double before = now_of(clock);
	timerfd_gettime(fd, &spec);
	double left = seconds(spec.it_value), after = now_of(clock);
	check(before + left < point + 0.01 && after + left > point - 1e-5, name,
	      "%.6f s late", before + left - point);
}

int main(void)
{
	uint64_t count;
	double points[3];
	int at[3];

	subject_init();
	double armed = now_s();
	int once = make(CLOCK_MONOTONIC, TFD_CLOEXEC, 1000.25, 0);
	int interval = make(CLOCK_BOOTTIME, TFD_NONBLOCK, 2000.25, 7.5);
	int real = make(CLOCK_REALTIME, 0, 3000.25, 0);
	int disarmed = make(CLOCK_MONOTONIC, 0, 0, 0);
	int expired = make(CLOCK_MONOTONIC, 0, 0.001, 0);
	int several = make(CLOCK_MONOTONIC, 0, 0.001, 0.001);
	int ticking = make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0.01, 0.01);
	for (int i = 0; i < 3; i++)
		at[i] = make_point(clocks[i], &points[i]);
	sleep_ms(30);
	ready();
	wait_for_term();
	double elapsed = now_s() - armed;
	check_timer("once", once, 1000.25, 0, elapsed);
	check_timer("with an interval", interval, 2000.25, 7.5, elapsed);
	check_timer("real time", real, 3000.25, 0, elapsed);
	check_timer("disarmed", disarmed, 0, 0, 0);
	for (int i = 0; i < 3; i++)
		check_point(clocks[i], at[i], points[i]);
	check_equal("close-on-exec", fcntl(once, F_GETFD), FD_CLOEXEC);
	check_equal("flags", fcntl(interval, F_GETFL), O_RDWR | O_NONBLOCK);
	check(read_now(once, &count, 8) == -1 && errno == EAGAIN, "once has not expired", "errno %d", errno);
	check(read_now(expired, &count, 8) == 8 && count == 1, "expired and not read", "count %lu", count);
	check(read_now(expired, &count, 8) == -1, "expired once", "count %lu", count);
	check(read_now(several, &count, 8) == 8 && count >= 25, "expired many times", "count %lu", count);
	check(read_now(ticking, &count, 8) == 8 && count >= 1, "ticking until now", "count %lu", count);
	double since = now_s();
	sleep_ms(100);
	bool some = read_now(ticking, &count, 8) == 8;
	since = now_s() - since;
	check(some && count >= 5 && count <= since / 0.01 + 2, "ticks on", "%lu in %.3f s", count, since);
	finish();
}
