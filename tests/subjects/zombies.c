/*
 * Children that have ended and were not waited for: one exited, one was killed. At SIGTERM their parent
 * waits for them.
 */
#include "subject.h"

#define USER 1234

static void check_end(const char *name, pid_t pid, int want, uid_t user)
{
	int status = -1;
	siginfo_t info = { 0 };

	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	check(info.si_uid == user, name, "it was of user %u, not %u", info.si_uid, user);
	pid_t got = waitpid(pid, &status, 0);

	check(got == pid && status == want, name, "waitpid(%d) gives %d, status %#x", pid, got, status);
}

int main(void)
{
	siginfo_t info;

	subject_init();
	pid_t exited = fork_child();
	if (exited == 0)
		_exit(9);
	pid_t killed = fork_child();
	if (killed == 0) {
		signal(SIGTERM, SIG_DFL);
		if (setresuid(USER, USER, USER))
			die("setresuid");
		raise(SIGTERM);
		_exit(0);
	}
	if (waitid(P_PID, exited, &info, WEXITED | WNOWAIT) || waitid(P_PID, killed, &info, WEXITED | WNOWAIT))
		die("waitid");
	ready();
	wait_for_term();
	check_end("exited", exited, 9 << 8, 0);
	check_end("killed", killed, SIGTERM, USER);
	finish();
}
