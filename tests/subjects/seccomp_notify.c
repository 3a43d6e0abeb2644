/*
 * A filter that hands a call to a supervisor: argv[1] is "with" a listener, or "without" one, where the call
 * fails with ENOSYS.
 */
#include "seccomp.h"

int main(int argc, char **argv)
{
	struct sock_filter code[] = { LOAD_NR, ON(SYS_getpgrp, SECCOMP_RET_USER_NOTIF), ALLOW_REST };
	struct sock_fprog program = { .len = COUNT(code), .filter = code };
	int with = !strcmp(arg(argc, argv, 1, "with"), "with");
	subject_init();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("prctl(PR_SET_NO_NEW_PRIVS)");
	int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			 with ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &program);
	if (fd < 0)
		die("seccomp(SECCOMP_SET_MODE_FILTER)");
	ready();
	wait_for_term();
	if (with)
		close(fd);
	check_errno("nobody listens", SYS_getpgrp, ENOSYS);
	finish();
}
