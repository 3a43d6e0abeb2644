/*
 * What is traced, and its tracer: the root traces a thread of its child, which has two.
 * Usage: tracer leader|thread
 */
#include "../../subjects/subject.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

static volatile pid_t *shared;

static void *worker(void *unused)
{
	shared[1] = own_tid();
	wait_for_term();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	subject_init();
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork_child();
	if (pid == 0) {
		if (pthread_create(&thread, NULL, worker, NULL))
			die("pthread_create");
		shared[0] = own_tid();
		wait_for_term();
		pthread_join(thread, NULL);
		child_finish();
	}
	while (!shared[0] || !shared[1])
		sleep_ms(1);
	pid_t tid = shared[strcmp(arg(argc, argv, 1, "leader"), "thread") == 0];
	if (ptrace(PTRACE_SEIZE, tid, 0, 0))
		die("PTRACE_SEIZE");
	fact("traced", "%d", pid);
	fact("tid", "%d", tid);
	ready();
	wait_for_term();
	check(kill(pid, 0) == 0, "the traced one lives", "errno %d", errno);
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	waitpid(tid, NULL, __WALL);
	check(ptrace(PTRACE_DETACH, tid, 0, 0) == 0, "it was traced all the time", "errno %d", errno);
	end_child("the traced one", pid);
	finish();
}
