/*
 * Runs a command and tells what it took: timed REPORT COMMAND [ARGUMENT...]
 *
 * A small program of its own, for a process inherits its parent's largest size until it executes something
 * (`exec_mmap()` of fs/exec.c keeps it in `ru_maxrss`), and an event loop would be late in seeing the end.
 * REPORT gets one line: the nanoseconds from before the fork to the end, the microseconds of processor time of
 * the command and of what it waited for, in user mode and in the kernel, the largest of them in KiB, and the
 * exit status, or 128 and the signal.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long microseconds(struct timeval time)
{
	return time.tv_sec * 1000000LL + time.tv_usec;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;

	if (argc < 3)
		return 2;
	long long begin = nanoseconds();
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		return 1;
	long long wall = nanoseconds() - begin;
	FILE *report = fopen(argv[1], "w");
	if (!report)
		return 1;
	fprintf(report, "%lld %lld %lld %ld %d\n", wall, microseconds(usage.ru_utime),
		microseconds(usage.ru_stime), usage.ru_maxrss,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return fclose(report) ? 1 : 0;
}
