/*
 * POSIX timers of threads that have ended: one that signals such a thread (it goes on without telling anybody), one on
 * the CPU clock of such a thread (it stands still, and cannot be set); beside them some of threads that live, on
 * their CPU clocks, named and not; and PR_TIMER_CREATE_RESTORE_IDS left on, with a high id.
 */
#include "subject.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77
#endif

static int make(clockid_t clock, int notify, pid_t tid, int id)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = SIGUSR1 };

	event._sigev_un._tid = tid;
	if (syscall(SYS_timer_create, clock, &event, &id))
		die("timer_create(%d)", clock);
	return id;
}

static int set(int id, long value, long interval)
{
	struct itimerspec spec = { { interval, 0 }, { value, 0 } };

	return syscall(SYS_timer_settime, id, 0, &spec, NULL) ? errno : 0;
}

static struct itimerspec get(int id)
{
	struct itimerspec spec = { { -1, 0 }, { -1, 0 } };

	syscall(SYS_timer_gettime, id, &spec);
	return spec;
}

/* What the kernel lists: ids, signals, threads and clocks, but for values. */
static void list(char *text, size_t size)
{
	int fd = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, size - 1);

	text[n > 0 ? n : 0] = 0;
	close(fd);
}

static volatile pid_t ended_tid, live_tid;
static volatile int ended_cpu = -1, own_cpu;
static volatile bool stop, may_end;
static volatile uint64_t work;

static void *ends(void *unused)
{
	clockid_t clock;

	ended_tid = own_tid();
	pthread_getcpuclockid(pthread_self(), &clock);
	ended_cpu = make(clock, SIGEV_SIGNAL, 0, -1);
	if (set(ended_cpu, 1000, 7))
		die("timer_settime");
	while (!may_end)
		sleep_ms(1);
	return unused;
}

static void *lives(void *unused)
{
	/* Of the thread that makes it, which the kernel does not tell; but that one is signalled. */
	own_cpu = make(CLOCK_THREAD_CPUTIME_ID, SIGEV_THREAD_ID, own_tid(), -1);
	set(own_cpu, 1000, 0);
	live_tid = own_tid();
	while (!stop)
		if (term_requested) {
			for (int i = 0; i < 100000; i++)
				work++;
		} else
			sleep_ms(5);
	return unused;
}

int main(void)
{
	static char before[4096], after[4096];
	pthread_t thread, ended;
	clockid_t clock;

	subject_init();
	signal(SIGUSR1, SIG_IGN);
	if (pthread_create(&thread, NULL, lives, NULL))
		die("pthread_create");
	while (!live_tid)
		sleep_ms(1);
	if (pthread_create(&ended, NULL, ends, NULL))
		die("pthread_create");
	while (ended_cpu < 0)
		sleep_ms(1);
	int told = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, ended_tid, -1);
	may_end = true;
	pthread_join(ended, NULL);
	set(told, 1, 2);
	pthread_getcpuclockid(thread, &clock);
	int named_cpu = make(clock, SIGEV_NONE, 0, -1);
	set(named_cpu, 1000, 3);
	bool ids = prctl(PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0) == 0;
	int high = ids ? make(CLOCK_BOOTTIME, SIGEV_NONE, 0, 0x7ffffff0) : -1;
	list(before, sizeof(before));
	fact("ids", "%d", ids);
	ready();
	wait_for_term();

	list(after, sizeof(after));
	/* The one of "the thread that made it" names that thread afterwards. */
	char *own = strstr(before, "ClockID: -2\n");
	if (own && !strstr(after, "ClockID: -2\n")) {
		char named[64], *end = own + strlen("ClockID: -2");
		snprintf(named, sizeof(named), "ClockID: %d", (int)((~(unsigned)live_tid << 3) | 6));
		char *rest = strdup(end);
		sprintf(own, "%s%s", named, rest);
	}
	check(!strcmp(before, after), "all timers", "were\n%s and are\n%s", before, after);
	check_equal("an ended thread's tells nothing", get(ended_cpu).it_value.tv_sec, 0);
	check_equal("it cannot be set", set(ended_cpu, 1, 1), ESRCH);
	struct itimerspec spec = get(told);
	check(spec.it_interval.tv_sec == 2 && spec.it_value.tv_sec < 2, "one that told an ended thread",
	      "%ld of %ld s left", spec.it_value.tv_sec, spec.it_interval.tv_sec);
	check_equal("interval of a living thread's", get(named_cpu).it_interval.tv_sec, 3);
	struct itimerspec first = get(named_cpu), own_first = get(own_cpu);
	for (uint64_t since = work; work < since + 10000000;)
		sleep_ms(1);
	stop = true;
	struct itimerspec second = get(named_cpu), own_second = get(own_cpu);
	check(second.it_value.tv_sec * 1e9 + second.it_value.tv_nsec <
		      first.it_value.tv_sec * 1e9 + first.it_value.tv_nsec,
	      "a living thread's goes on", "%ld.%09ld s left", second.it_value.tv_sec, second.it_value.tv_nsec);
	check(own_second.it_value.tv_sec * 1e9 + own_second.it_value.tv_nsec <
		      own_first.it_value.tv_sec * 1e9 + own_first.it_value.tv_nsec - 1e6,
	      "that of the thread that made it goes on", "%ld.%09ld s left", own_second.it_value.tv_sec,
	      own_second.it_value.tv_nsec);
	pthread_join(thread, NULL);
	if (ids) {
		check_equal("ids are taken", prctl(PR_TIMER_CREATE_RESTORE_IDS, 2, 0, 0, 0), 1);
		check(get(high).it_value.tv_sec == 0, "the one with a high id", "it is gone");
		check_equal("one more with an id", make(CLOCK_REALTIME, SIGEV_NONE, 0, 4242), 4242);
	}
	finish();
}
