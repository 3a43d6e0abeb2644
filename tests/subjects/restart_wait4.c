/* A parent that is blocked in wait4() for its child when it is frozen. */
#include "restart.h"

static pid_t child;
static int status;

static long call(void)
{
	return syscall(SYS_wait4, child, &status, 0, NULL);
}

int main(void)
{
	subject_init();
	child = fork_child();
	if (child == 0) {
		wait_for_term();
		_exit(42);
	}
	pthread_t thread = start_call(call, SYS_wait4);
	ready();
	wait_for_term();
	check_blocked();
	check_equal("the child lives", kill(child, 0), 0);
	kill(child, SIGTERM);
	check_result(thread, child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status", "%#x", status);
	finish();
}
