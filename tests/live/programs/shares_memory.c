/* Has a child that shares its memory (CLONE_VM) and nothing else, as no fork(2) makes it. */
#include "../../subjects/subject.h"

#include <sched.h>

static char stack[65536] __attribute__((aligned(16)));
static volatile int ends;

static int child(void *unused)
{
	(void)unused;
	while (!ends)
		sleep_ms(2);
	return 0;
}

int main(void)
{
	int status = -1;

	subject_init();
	pid_t pid = clone(child, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	if (pid < 0)
		die("clone");
	ready();
	wait_for_term();
	ends = 1;
	check(waitpid(pid, &status, 0) == pid && status == 0, "the child", "status %#x", status);
	finish();
}
