/*
 * Processes that share memory (CLONE_VM without CLONE_THREAD), and signal handlers or not: a child, a child of that,
 * one that shares descriptors and handlers as well, an orphan; beside them children with a copy of it, and one of
 * those that shares that copy with its own child.
 */
#include "mem.h"

#include <linux/kcmp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define NUMBER 77
#define STACK 65536

enum { CHILD, GRANDCHILD, CLOSE, ORPHAN, TWIN, SHARERS };

/* All of it is one for those that share memory. */
static volatile struct {
	pid_t pid;
	int go, beats, told, number;
} sharers[SHARERS];
static volatile int stop;
static volatile long *volatile later;
static char stacks[SHARERS][STACK] __attribute__((aligned(16)));

/* They have the thread-local storage of their maker, so they use nothing of the C library. */
static void nap(void)
{
	struct timespec time = { 0, 2000000 };

	syscall(SYS_nanosleep, &time, NULL);
}

static void make(int which, int flags, int (*run)(void *))
{
	if (clone(run, stacks[which] + STACK, flags | CLONE_VM, (void *)(long)which) < 0)
		die("clone");
	while (!sharers[which].pid)
		nap();
}

static int beat(void *arg)
{
	int which = (int)(long)arg;

	sharers[which].pid = syscall(SYS_getpid);
	while (!stop) {
		sharers[which].beats++;
		if (sharers[which].go && later && *later == 42)
			sharers[which].number = syscall(SYS_fcntl, NUMBER, 1 /* F_GETFD */) >= 0 ? 1 : 2;
		nap();
	}
	return 10 + which;
}

static int has_child(void *arg)
{
	make(GRANDCHILD, SIGCHLD, beat);
	int status = beat(arg);
	while (syscall(SYS_wait4, sharers[GRANDCHILD].pid, NULL, 0, NULL) != sharers[GRANDCHILD].pid)
		;
	return status;
}

static int leaves_orphan(void *unused)
{
	(void)unused;
	make(ORPHAN, SIGCHLD, beat);
	return 0;
}

static void early(int sig)
{
	(void)sig;
	sharers[CLOSE].told = 1;
}

static void late(int sig)
{
	(void)sig;
	sharers[CLOSE].told = 2;
	sharers[CHILD].told = 2;
}

static bool same(pid_t one, pid_t other, int type)
{
	return syscall(SYS_kcmp, one, other, type, 0, 0) == 0;
}

static void check_beats(const char *name, int which)
{
	int before = sharers[which].beats;

	for (int naps = 0; naps < 5000 && sharers[which].beats == before; naps++)
		nap();
	check(sharers[which].beats != before, name, "it stands still");
}

static void check_exit(const char *name, pid_t pid, int want)
{
	int status = -1;

	check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == want, name,
	      "status %#x", status);
}

int main(void)
{
	static char leaver[STACK] __attribute__((aligned(16)));
	pid_t self = getpid();

	subject_init();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGUSR1, early);
	make(CHILD, SIGCHLD, has_child);
	make(CLOSE, CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD, beat);
	pid_t gone = clone(leaves_orphan, leaver + STACK, CLONE_VM | SIGCHLD, NULL);
	if (waitpid(gone, NULL, 0) != gone)
		die("waitpid");

	pid_t copy = fork_child();
	if (copy == 0) {
		sharers[TWIN].pid = 0;
		make(TWIN, SIGCHLD, beat);
		wait_for_term();
		check(same(getpid(), sharers[TWIN].pid, KCMP_VM), "memory of a copy", "it is not shared");
		check(!same(getpid(), self, KCMP_VM), "a copy", "it is shared with the root");
		check_beats("who shares a copy", TWIN);
		stop = 1;
		check_exit("the end of who shares a copy", sharers[TWIN].pid, 10 + TWIN);
		child_finish();
	}
	pid_t plain = fork_child();
	if (plain == 0) {
		wait_for_term();
		check(sharers[CHILD].told == 0, "a plain copy", "it is not its own");
		child_finish();
	}
	while (!sharers[ORPHAN].beats)
		nap();
	fact("child", "%d", sharers[CHILD].pid);
	ready();
	wait_for_term();

	const char *const names[] = { "a child", "a grandchild", "one that shares more", "an orphan" };
	for (int which = CHILD; which <= ORPHAN; which++) {
		check(same(self, sharers[which].pid, KCMP_VM), names[which], "it has other memory");
		check(same(self, sharers[which].pid, KCMP_SIGHAND) == (which == CLOSE), names[which],
		      "shared handlers are not as they were");
		check_beats(names[which], which);
	}
	/* What one does, the others have. */
	dup2(1, NUMBER);
	long *page = (long *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = 42;
	later = page;
	for (int which = CHILD; which <= ORPHAN; which++)
		sharers[which].go = 1;
	for (int which = CHILD; which <= ORPHAN; which++) {
		for (int naps = 0; naps < 5000 && !sharers[which].number; naps++)
			nap();
		check_equal(names[which], sharers[which].number, which == CLOSE ? 1 : 2);
	}
	signal(SIGUSR1, late);
	kill(sharers[CLOSE].pid, SIGUSR1);
	for (int naps = 0; naps < 5000 && !sharers[CLOSE].told; naps++)
		nap();
	check_equal("a handler that is shared", sharers[CLOSE].told, 2);
	sharers[CHILD].told = sharers[CLOSE].told = 0;
	kill(sharers[CHILD].pid, SIGUSR1);
	for (int naps = 0; naps < 5000 && !sharers[CLOSE].told; naps++)
		nap();
	check_equal("a handler that is not", sharers[CLOSE].told, 1);

	end_child("a copy with a twin", copy);
	end_child("a plain copy", plain);
	stop = 1;
	check_exit("the end of a child", sharers[CHILD].pid, 10 + CHILD);
	check_exit("the end of one that shares more", sharers[CLOSE].pid, 10 + CLOSE);
	check_exit("the end of an orphan", sharers[ORPHAN].pid, 10 + ORPHAN);
	finish();
}
