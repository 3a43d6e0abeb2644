/*
 * What the subjects of interrupted system calls share: a thread (or a child) that blocks in one call
 * with all signals blocked, so that only a freeze can interrupt it, and notes how it came out.
 */
#ifndef RESTART_H
#define RESTART_H

#include "subject.h"

#include <pthread.h>

/* How the blocking call of the worker came out. */
struct outcome {
	volatile pid_t tid;
	volatile bool returned;
	volatile long result;
	volatile int error;
	double began, ended;
};

static struct outcome outcome;
static long (*blocking_call)(void);
static long blocking_number;

static void *call_worker(void *unused)
{
	outcome.began = now_s();
	outcome.tid = own_tid();
	long result = blocking_call();
	outcome.error = result < 0 ? errno : 0;
	outcome.ended = now_s();
	outcome.result = result;
	outcome.returned = true;
	return unused;
}

/* Waits until the worker blocks in the call: its state is S, in that call's number. */
static inline void await_blocked(void)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", outcome.tid);
	for (int i = 0; i < 5000 && !outcome.returned; i++) {
		FILE *file = fopen(path, "r");
		bool there = file && fgets(text, sizeof(text), file) && strncmp(text, "running", 7) &&
			     (atol(text) == blocking_number || atol(text) == SYS_restart_syscall);
		if (file)
			fclose(file);
		if (there)
			return;
		sleep_ms(1);
	}
}

/* Starts the thread and waits until it blocks in the call. */
static inline pthread_t start_call(long (*call)(void), long nr)
{
	pthread_t thread;
	sigset_t all, old;

	blocking_call = call;
	blocking_number = nr;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&thread, NULL, call_worker, NULL))
		die("pthread_create");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	while (!outcome.tid)
		sleep_ms(1);
	await_blocked();
	fact("worker", "%d", outcome.tid);
	return thread;
}

/*
 * The worker must wait again: nothing has happened that could end its call. A freeze interrupts the call for a
 * moment, as a signal does; what would wake the worker finds nobody then.
 */
static inline void check_blocked(void)
{
	await_blocked();
	check(!outcome.returned, "still blocked", "the call returned %ld, errno %d", outcome.result,
	      outcome.error);
}

/* Waits up to 5 s for the call's end; the result that it must give. */
static inline void check_result(pthread_t thread, long want)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	if (!check(pthread_timedjoin_np(thread, NULL, &until) == 0, "the call ends", "not within 5 s"))
		return;
	check(outcome.result == want, "result", "%ld, errno %d, instead of %ld", outcome.result,
	      outcome.error, want);
}

#endif
