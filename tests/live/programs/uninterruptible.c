/*
 * Sleeps uninterruptibly until its child gets SIGUSR1: as vfork(2) does, but without sharing memory with it, so that
 * nothing tells what it waits for.
 */
#include "../../subjects/subject.h"

#include <sched.h>

static volatile sig_atomic_t told;

static void tell(int sig)
{
	told = sig;
}

int main(void)
{
	subject_init();
	signal(SIGUSR1, tell);
	ready();
	pid_t child = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
	if (child < 0)
		die("clone");
	if (child == 0) {
		while (!told)
			sleep_ms(10);
		_exit(0);
	}
	wait_for_term();
	end_child("child", child);
	finish();
}
