/*
 * clocks: CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from where they were, and so do points in time on them: of a timerfd
 * and of a wait (FUTEX_WAIT_BITSET, what pthread_cond_timedwait(3) uses).
 */
#include "subject.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/timerfd.h>

#define SECOND 1000000000LL
/* More than any clock moves on while this is away, on a busy machine too, and less than namespaces are set ahead. */
#define MOST (300 * SECOND)

static uint32_t word;
static int64_t end_of_wait;
static volatile int64_t woken;

static int64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

static void *waiter(void *unused)
{
	struct timespec end = { end_of_wait / SECOND, end_of_wait % SECOND };

	(void)unused;
	do
		syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &end, NULL, -1);
	while (errno == EINTR);
	woken = now(CLOCK_MONOTONIC);
	/* On a busy machine it is woken before it is looked at. */
	while (!term_requested)
		usleep(1000);
	return NULL;
}

static void check_goes_on(const char *name, int64_t last, int64_t found)
{
	check(found >= last && found < last + MOST, name, "%lld after %lld", (long long)found, (long long)last);
}

int main(void)
{
	struct itimerspec spec = { 0 };
	pthread_t thread;

	subject_init();
	int64_t monotonic = now(CLOCK_MONOTONIC), boottime = now(CLOCK_BOOTTIME);
	int64_t deadline = boottime + 1000 * SECOND;
	int fd = timerfd_create(CLOCK_BOOTTIME, 0);
	spec.it_value.tv_sec = deadline / SECOND;
	spec.it_value.tv_nsec = deadline % SECOND;
	if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL) != 0)
		die("timerfd");
	end_of_wait = monotonic + 2 * SECOND;
	if (pthread_create(&thread, NULL, waiter, NULL) != 0)
		die("pthread_create");
	ready();
	while (!term_requested) {
		usleep(1000);
		/* What is read last before the end is what SIGTERM finds. */
		int64_t next = now(CLOCK_MONOTONIC);
		if (next < monotonic || next > monotonic + MOST) {
			check_goes_on("CLOCK_MONOTONIC", monotonic, next);
			finish();
		}
		monotonic = next;
	}
	check_goes_on("CLOCK_MONOTONIC", monotonic, now(CLOCK_MONOTONIC));
	check_goes_on("CLOCK_BOOTTIME", boottime, now(CLOCK_BOOTTIME));
	int64_t before = now(CLOCK_BOOTTIME);
	timerfd_gettime(fd, &spec);
	int64_t left = spec.it_value.tv_sec * SECOND + spec.it_value.tv_nsec - deadline;
	int64_t after = now(CLOCK_BOOTTIME);
	check(after + left > -SECOND && before + left < SECOND, "timerfd", "off by %lld to %lld ns",
	      (long long)(before + left), (long long)(after + left));
	pthread_join(thread, NULL);
	check(woken >= end_of_wait && woken < end_of_wait + MOST, "wait", "%lld instead of %lld",
	      (long long)woken, (long long)end_of_wait);
	finish();
}
