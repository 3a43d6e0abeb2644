/* Parts of the mixed subject that are timers of processes and threads. */
#ifndef MIXED_TIMERS_H
#define MIXED_TIMERS_H

#include "mixed_descriptors.h"
#include "mixed_tasks.h"

/* How many signals of timers have come to this process. */
static volatile int fired[65];

static inline void timer_handler(int sig)
{
	__atomic_add_fetch(&fired[sig], 1, __ATOMIC_SEQ_CST);
}

static inline void count_signal(int sig)
{
	struct sigaction action = { .sa_handler = timer_handler, .sa_flags = SA_RESTART };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigaction(sig, &action, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static inline int which_of(const struct part *p)
{
	return has(p, "virtual") ? ITIMER_VIRTUAL : has(p, "prof") ? ITIMER_PROF : ITIMER_REAL;
}

static inline struct timeval ms_timeval(long ms)
{
	return (struct timeval){ ms / 1000, ms % 1000 * 1000 };
}

static inline void itimer_make(const struct part *p)
{
	static const int SIGNALS[] = { SIGALRM, SIGVTALRM, SIGPROF };
	struct itimerval timer = { ms_timeval(number(p, "every", 0)), ms_timeval(number(p, "once", 1000000)) };
	count_signal(SIGNALS[which_of(p)]);
	if (setitimer(which_of(p), &timer, NULL))
		die("setitimer");
}

/* A short timer goes on; state[1] of the part is the count at the last look. */
static inline void await_signals(const struct part *p, int sig)
{
	int before = fired[sig];
	for (int i = 0; i < 4000 && fired[sig] == before; i++)
		sleep_ms(5);
	if (fired[sig] == before)
		bad(p, "signal %d does not come any more", sig);
}

static inline void itimer_look(const struct part *p)
{
	struct itimerval timer;
	long once = number(p, "once", 1000000), every = number(p, "every", 0);

	getitimer(which_of(p), &timer);
	EXPECT(p, timer.it_interval.tv_sec * 1000 + timer.it_interval.tv_usec / 1000, every, "the interval");
	long left = timer.it_value.tv_sec * 1000 + timer.it_value.tv_usec / 1000;
	if (left > (once > every ? once : every) + 100 || (once > 100000 && left < once - 900000))
		bad(p, "%ld ms are left", left);
	if (every && every < 1000 && which_of(p) == ITIMER_REAL)
		await_signals(p, SIGALRM);
}

/* state: the timer's id. */
static inline void posix_make(const struct part *p)
{
	const struct part *of = ref(p, 0);
	struct sigevent event = { .sigev_signo = SIGRTMIN + 1 + p->id % 4 };
	struct itimerspec spec = { ms_time(number(p, "every", 0)), ms_time(number(p, "once", 1000000)) };
	int id = -1;

	event.sigev_notify = has(p, "none") ? SIGEV_NONE : has(p, "thread") ? SIGEV_THREAD_ID : SIGEV_SIGNAL;
	event._sigev_un._tid = of ? common->tid[of->id] : own_tid();
	event.sigev_value.sival_int = p->id;
	for (int i = 0; i < number(p, "skip", 0); i++) {
		int other;
		if (syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &other) == 0)
			syscall(SYS_timer_delete, other);
	}
	count_signal(event.sigev_signo);
	if (syscall(SYS_timer_create, clock_of(p), &event, &id) || syscall(SYS_timer_settime, id, 0, &spec, NULL))
		die("part %d: timer_create", p->id);
	common->state[p->id][0] = id;
}

static inline void posix_look(const struct part *p)
{
	struct itimerspec spec = { 0 };
	long once = number(p, "once", 1000000), every = number(p, "every", 0), id = common->state[p->id][0];

	EXPECT(p, syscall(SYS_timer_gettime, (int)id, &spec), 0, "timer_gettime");
	EXPECT(p, ms_of(spec.it_interval), every, "the interval");
	long left = ms_of(spec.it_value);
	if (left > (once > every ? once : every) + 100 || (once > 100000 && left < once - 900000))
		bad(p, "%ld ms are left", left);
	if (every && every < 1000 && !has(p, "none") && !has(p, "thread") && clock_of(p) != CLOCK_PROCESS_CPUTIME_ID &&
	    clock_of(p) != CLOCK_THREAD_CPUTIME_ID)
		await_signals(p, SIGRTMIN + 1 + p->id % 4);
}

#endif
