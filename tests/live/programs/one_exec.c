/*
 * Another thread than the first executes this program once more, when SIGUSR1 comes; a third one is only there.
 * Usage: one_exec [again]
 */
#include "../../subjects/subject.h"

#include <pthread.h>

static pthread_barrier_t both;

static void *wait_long(void *unused)
{
	fact("bystander", "%d", own_tid());
	pthread_barrier_wait(&both);
	for (;;)
		pause();
	return unused;
}

static void *exec_once(void *set)
{
	int signal;

	fact("executer", "%d", own_tid());
	pthread_barrier_wait(&both);
	sigwait(set, &signal);
	execl("/proc/self/exe", "one_exec", "again", NULL);
	die("execl");
}

int main(int argc, char **argv)
{
	pthread_t thread;
	sigset_t set;

	(void)argv;
	subject_init();
	if (argc > 1) {
		fact("executed", "1");
		wait_for_term();
		check(true, "came to its end", "-");
		finish();
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pthread_barrier_init(&both, NULL, 3);
	pthread_create(&thread, NULL, wait_long, NULL);
	pthread_create(&thread, NULL, exec_once, &set);
	pthread_barrier_wait(&both);
	ready();
	for (;;)
		pause();
}
