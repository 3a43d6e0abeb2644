/*
 * Threads under dispatch and seccomp that make foreign calls and a forbidden one all the time, and say LEAKED as
 * soon as one of either kind gets to Linux. argv[1]: how many threads beside the first.
 */
#include "sud.h"
#include "seccomp.h"

#include <pthread.h>

#define MOST 16

static volatile char selector = SUD_BLOCK;
static volatile int started;
static struct sud_count counts[MOST + 1];

static void guard(struct sud_count *count)
{
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	for (long times = 1; !term_requested; times++) {
		if (!sud_issue_next(count))
			say("LEAKED a foreign call");
		errno = 0;
		if (syscall(SYS_getpgrp) != -1 || errno != EDOM)
			say("LEAKED a forbidden call");
		/* Others have to get on as well. */
		if (times % 5 == 0)
			sleep_ms(1);
	}
}

static void *thread(void *count)
{
	sud_arm(sud_outside_libc(&selector));
	guard(count);
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = atoi(arg(argc, argv, 1, "2"));
	pthread_t ids[MOST];
	if (threads > MOST)
		die("too many threads");
	subject_init();
	sud_install(sud_handler, 0);
	forbid(SYS_getpgrp, EDOM, 0);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, thread, &counts[i]))
			die("pthread_create");
	sud_arm(sud_outside_libc(&selector));
	while (started < threads)
		sleep_ms(1);
	ready();
	guard(&counts[threads]);
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	for (int i = 0; i <= threads; i++)
		sud_check_count("calls", &counts[i]);
	sud_check_config("config", own_tid(), sud_outside_libc(&selector));
	finish();
}
