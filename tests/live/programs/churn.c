/*
 * Never stands still: threads or children come and go as fast as they can, of each a bounded number at a time.
 * Usage: churn threads|forks|vforks|exits|killed
 *   vforks: children execute a program while their parent waits
 *   exits: children whose threads end them all at any time, while others are being made
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

static void *wait_long(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void *end_all(void *code)
{
	_exit((int)(intptr_t)code);
}

/* A child that threads of it end, and how it ended. */
static void bear_and_end(void)
{
	pthread_t thread;
	int status = -1;
	pid_t pid = fork_child();

	if (pid == 0) {
		for (int i = 0; i < 3; i++)
			pthread_create(&thread, NULL, wait_long, NULL);
		for (int i = 0; i < 2; i++)
			pthread_create(&thread, NULL, end_all, (void *)(intptr_t)7);
		wait_long(NULL);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
		check(false, "a child ends by itself", "status %#x", status);
}

static void vfork_true(void)
{
	int status = -1;
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		check(false, "a child executes its program", "status %#x", status);
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
	} else if (!strcmp(what, "vforks") || !strcmp(what, "exits")) {
		ready();
		while (!term_requested && !failures)
			strcmp(what, "exits") ? vfork_true() : bear_and_end();
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
