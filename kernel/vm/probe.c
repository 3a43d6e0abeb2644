// SPDX-License-Identifier: MIT
/*
 * Says what the running kernel answers to each of the three features of the series, one per line: 0 or
 * the errno's name. Unlike the selftests it expects nothing, so it speaks of an unpatched kernel, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUSPEND (1 << 22)
#define PR_GET_SYSCALL_USER_DISPATCH 0x53554447

static void say(const char *what, long result)
{
	printf("%s %s\n", what, result == -1 ? strerrorname_np(errno) : "0");
}

static pid_t child(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	uint64_t config[4];
	char line[256];
	const char *found = "absent";
	pid_t pid = child();
	FILE *status;

	say("seize", ptrace(PTRACE_SEIZE, pid, 0, SUSPEND));
	end(pid);

	pid = child();
	say("attach", ptrace(PTRACE_ATTACH, pid, 0, 0));
	waitpid(pid, NULL, 0);
	say("setoptions", ptrace(PTRACE_SETOPTIONS, pid, 0, SUSPEND));
	end(pid);

	say("getter", prctl(PR_GET_SYSCALL_USER_DISPATCH, config, 0, 0, 0));

	status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, "Syscall_user_dispatch:", 22))
			found = "present";
	printf("status %s\n", found);
	return 0;
}
