/*
 * Does what a careless checkpoint does: switches Syscall User Dispatch off in one thread and lets it
 * run on. Usage: lose_dispatch TID. Exits with 77 where the kernel has no such request (before 6.4).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define SET_SUD_CONFIG 0x4210 /* PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG */

int main(int argc, char **argv)
{
	pid_t tid = argc > 1 ? atoi(argv[1]) : 0;
	uint64_t off[4] = { 0 };
	int status;

	if (ptrace(PTRACE_SEIZE, tid, 0, 0) || ptrace(PTRACE_INTERRUPT, tid, 0, 0) ||
	    waitpid(tid, &status, __WALL) != tid) {
		perror("lose_dispatch");
		return 1;
	}
	int failed = ptrace(SET_SUD_CONFIG, tid, sizeof(off), off) ? errno : 0;
	ptrace(PTRACE_DETACH, tid, 0, 0);
	return failed == 0 ? 0 : failed == EIO ? 77 : 1;
}
