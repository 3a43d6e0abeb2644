/*
 * Never stands still: threads, children or programs come and go as fast as they can, of each a bounded number
 * at a time. Usage: churn threads|forks|exec|thread_exec|killed
 */
#include "../../subjects/subject.h"

#include <pthread.h>

static void *nothing(void *unused)
{
	return unused;
}

static void *make_threads(void *unused)
{
	pthread_t thread;
	while (!term_requested)
		if (!pthread_create(&thread, NULL, nothing, NULL))
			pthread_join(thread, NULL);
	return unused;
}

static void *exec_again(void *argv)
{
	execv("/proc/self/exe", argv);
	die("execv");
}

static void *wait_long(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv)
{
	const char *what = arg(argc, argv, 1, "threads");
	pthread_t threads[4];

	subject_init();
	if (!strcmp(what, "threads")) {
		for (int i = 0; i < 4; i++)
			pthread_create(&threads[i], NULL, make_threads, NULL);
		ready();
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	} else if (!strcmp(what, "forks")) {
		ready();
		while (!term_requested) {
			pid_t pid = fork();
			if (pid == 0) {
				/* A child that forks, too, and one that the grandparent's parent reaps. */
				pid_t own = fork();
				if (own > 0)
					waitpid(own, NULL, 0);
				_exit(0);
			}
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	} else if (!strcmp(what, "exec") || !strcmp(what, "thread_exec")) {
		/* Says `ready` once, and counts on; SIGTERM is looked at between two programs. */
		sigset_t term, pending;
		sigemptyset(&term);
		sigaddset(&term, SIGTERM);
		sigprocmask(SIG_BLOCK, &term, NULL);
		if (argc < 3)
			ready();
		sigpending(&pending);
		if (sigismember(&pending, SIGTERM) == 1)
			finish();
		char *next[] = { argv[0], (char *)what, "again", NULL };
		if (!strcmp(what, "thread_exec")) {
			for (int i = 0; i < 3; i++)
				pthread_create(&threads[i], NULL, wait_long, NULL);
			pthread_create(&threads[3], NULL, exec_again, next);
			wait_long(NULL);
		}
		exec_again(next);
	} else {
		/* Is killed in the middle by whoever tests: a child with threads. */
		for (int i = 0; i < 4; i++)
			pthread_create(&threads[i], NULL, wait_long, NULL);
		ready();
		wait_for_term();
	}
	check(true, "came to its end", "-");
	finish();
}
