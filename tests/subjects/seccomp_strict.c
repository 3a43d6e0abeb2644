/*
 * A child in strict mode: it can read, write and exit, and is killed by anything else. It doubles each number
 * that it reads; zero makes it call getpid.
 */
#include "seccomp.h"

#include <linux/seccomp.h>

int main(void)
{
	int to[2], from[2];
	subject_init();
	if (pipe(to) || pipe(from))
		die("pipe");
	pid_t child = fork_child();
	if (child == 0) {
		int number;
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0))
			die("prctl(PR_SET_SECCOMP)");
		while (read(to[0], &number, sizeof(number)) == sizeof(number)) {
			if (number == 0)
				syscall(SYS_getpid);
			number *= 2;
			write(from[1], &number, sizeof(number));
		}
		syscall(SYS_exit, 1);
	}
	int numbers[] = { 21, 0 }, answer = 0, status = 0;
	write(to[1], numbers, sizeof(int));
	read(from[0], &answer, sizeof(answer));
	check_equal("before", answer, 42);
	ready();
	wait_for_term();
	write(to[1], numbers, sizeof(int));
	read(from[0], &answer, sizeof(answer));
	check_equal("after", answer, 42);
	write(to[1], numbers + 1, sizeof(int));
	waitpid(child, &status, 0);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "killed", "status %#x", status);
	finish();
}
