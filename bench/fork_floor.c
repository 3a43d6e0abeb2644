/* How long a fork of a process with so much memory takes, in nanoseconds: fork_floor MIB small|huge */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	size_t size = strtoul(argv[1], NULL, 10) << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	madvise(memory, size, strcmp(argv[2], "huge") ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	memset(memory, 1, size);
	long long begin = nanoseconds();
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	long long end = nanoseconds();
	if (pid < 0)
		return 1;
	waitpid(pid, NULL, 0);
	printf("%lld\n", end - begin);
	return 0;
}
