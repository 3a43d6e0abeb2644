/* Has a child that has ended and is never reaped; it lives as long as its parent wants. */
#include "../../subjects/subject.h"

int main(void)
{
	subject_init();
	pid_t pid = fork_child();
	if (pid == 0)
		_exit(3);
	siginfo_t info;
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	fact("zombie", "%d", pid);
	ready();
	wait_for_term();
	check(waitpid(pid, NULL, 0) == pid, "the zombie is there", "errno %d", errno);
	finish();
}
