/*
 * Threads that make a forbidden call all the time, and say LEAKED as soon as one is let through. argv[1]: how many.
 * For getpid, the most harmless call of all, its filter kills.
 */
#include "seccomp.h"

#include <pthread.h>

static volatile long calls;
static volatile int started;

static void *guard(void *unused)
{
	(void)unused;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	while (!term_requested) {
		errno = 0;
		if (syscall(SYS_getpgrp) != -1 || errno != EDOM)
			say("LEAKED");
		calls++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = atoi(arg(argc, argv, 1, "2"));
	pthread_t ids[16];
	if (threads > (int)COUNT(ids))
		die("too many threads");
	struct sock_filter code[] = {
		LOAD_NR,
		ON(SYS_getpgrp, SECCOMP_RET_ERRNO | EDOM),
		ON(SYS_getpid, SECCOMP_RET_KILL_PROCESS),
		ALLOW_REST,
	};
	subject_init();
	install(0, code, COUNT(code));
	for (int i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, guard, NULL))
			die("pthread_create");
	while (started < threads)
		sleep_ms(1);
	ready();
	guard(NULL);
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	check(calls > 0, "calls", "none was made");
	finish();
}
