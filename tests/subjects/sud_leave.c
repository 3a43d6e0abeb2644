/*
 * What a checkpoint that leaves the target running must leave as it was: the dispatch of the running
 * thread, of a thread that sleeps, of one that changes its own configuration over and over, and the
 * handler, which a forced SIGSYS at the wrong time would reset.
 */
#include "sud.h"

#include <pthread.h>

static volatile char selector = SUD_BLOCK;
static __thread volatile char own_selector;
static volatile bool stop;
static struct sud_count changing, sleeping;
static volatile long switched;

/* Dispatch on and off again: a freeze may find it either way, and it must be as the thread thinks. */
static void *changer(void *unused)
{
	struct sud_config config = sud_outside_libc(&own_selector);
	struct sud_count off = { 0 };

	own_selector = SUD_BLOCK;
	while (!stop) {
		sud_arm(config);
		for (int i = 0; i < 5; i++)
			sud_issue_next(&changing);
		sud_arm((struct sud_config){ 0 });
		for (int i = 0; i < 5; i++)
			sud_issue_undispatched(&off);
		switched++;
		sched_yield();
	}
	changing.wrong += off.wrong + off.seen;
	return unused;
}

static void *sleeper(void *unused)
{
	own_selector = SUD_BLOCK;
	sud_arm(sud_outside_libc(&own_selector));
	while (!stop) {
		sleep_ms(20);
		sud_issue_next(&sleeping);
	}
	return unused;
}

int main(void)
{
	struct sud_count count = { 0 };
	pthread_t threads[2];
	struct sigaction act;
	sigset_t term;

	subject_init();
	sud_install(sud_handler, 0);
	struct sud_config config = sud_outside_libc(&selector);
	sud_arm(config);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	if (pthread_create(&threads[0], NULL, changer, NULL) ||
	    pthread_create(&threads[1], NULL, sleeper, NULL))
		die("pthread_create");
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	while (!switched || !sleeping.issued)
		sleep_ms(1);
	ready();
	while (!term_requested) {
		sud_issue_next(&count);
		sleep_ms(1);
	}
	stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	sud_check_count("calls", &count);
	sud_check_count("calls of the thread that changes", &changing);
	sud_check_count("calls of the thread that sleeps", &sleeping);
	check(switched > 1, "dispatch was switched", "%ld times", switched);
	sud_check_config("config", own_tid(), config);
	sigaction(SIGSYS, NULL, &act);
	check(act.sa_sigaction == sud_handler, "handler", "%p instead of %p", (void *)act.sa_sigaction,
	      (void *)sud_handler);
	finish();
}
