/*
 * Relations that no parent can hand down as it is now: siblings that share a descriptor table and a working
 * directory which their parent has left; a zombie in a group whose leader is dead; a group whose leader has
 * moved to another one; an orphan of a dead session leader.
 */
#include "mem.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>

#define NUMBER 88

struct shared {
	volatile int go, opened;
	volatile pid_t orphan;
};

static struct shared *shared;
static char stacks[3][16384] __attribute__((aligned(16)));

static int opener(void *unused)
{
	(void)unused;
	while (!shared->go)
		sleep_ms(2);
	if (dup2(1, NUMBER) == NUMBER && chdir("/proc") == 0)
		shared->opened = 1;
	wait_for_term();
	_exit(shared->opened ? 0 : 1);
}

static int looker(void *unused)
{
	char cwd[64];

	(void)unused;
	while (!shared->opened)
		sleep_ms(2);
	bool sees = fcntl(NUMBER, F_GETFD) >= 0;
	bool moved = getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/proc");
	wait_for_term();
	_exit(sees && moved ? 0 : 1);
}

static int ends(void *unused)
{
	(void)unused;
	return 0;
}

/* Leaves a sibling behind, whose group it led. */
static int short_leader(void *unused)
{
	(void)unused;
	if (setpgid(0, 0))
		_exit(1);
	_exit(clone(ends, stacks[2] + sizeof(stacks[2]) / 2, CLONE_PARENT | SIGCHLD, NULL) < 0);
}

/* A session's orphan: it belongs to the session of a leader that is dead. */
static pid_t orphan(void)
{
	pid_t adopter = getpid();
	pid_t leader = fork_child();

	if (leader == 0) {
		setsid();
		if (fork_child() == 0) {
			while (getppid() != adopter)
				sleep_ms(1);
			shared->orphan = getpid();
			pid_t sid = getsid(0), group = getpgrp();
			wait_for_term();
			_exit(getsid(0) != sid || getpgrp() != group || getppid() != adopter);
		}
		_exit(0);
	}
	waitpid(leader, NULL, 0);
	while (!shared->orphan)
		sleep_ms(1);
	return shared->orphan;
}

int main(void)
{
	siginfo_t info = { 0 };
	char cwd[256];

	subject_init();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	shared = (void *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int flags = CLONE_FILES | CLONE_FS | SIGCHLD;
	pid_t one = clone(opener, stacks[0] + sizeof(stacks[0]), flags, NULL);
	pid_t other = clone(looker, stacks[1] + sizeof(stacks[1]), flags, NULL);
	if (one < 0 || other < 0 || unshare(CLONE_FILES | CLONE_FS))
		die("sharing");

	pid_t dead = clone(short_leader, stacks[2] + sizeof(stacks[2]), SIGCHLD, NULL);
	if (dead < 0 || waitpid(dead, NULL, 0) != dead)
		die("clone");
	if (waitid(P_PGID, dead, &info, WEXITED | WNOWAIT))
		die("waitid");
	pid_t zombie = info.si_pid;

	pid_t mover = fork_child();
	if (mover == 0) {
		setpgid(0, 0);
		wait_for_term();
		child_finish();
	}
	while (getpgid(mover) != mover)
		sleep_ms(1);
	pid_t member = fork_child();
	if (member == 0) {
		setpgid(0, mover);
		wait_for_term();
		child_finish();
	}
	while (getpgid(member) != mover)
		sleep_ms(1);
	if (setpgid(mover, getpgrp()))
		die("setpgid");
	pid_t mine = orphan();
	ready();
	wait_for_term();

	check_equal("group of the zombie", getpgid(zombie), dead);
	check(waitpid(zombie, NULL, WNOHANG) == zombie, "the zombie", "errno %d", errno);
	check_equal("group of the leader that moved", getpgid(mover), getpgrp());
	check_equal("group that it left", getpgid(member), mover);
	shared->go = 1;
	while (!shared->opened)
		sleep_ms(1);
	sleep_ms(10);
	check(fcntl(NUMBER, F_GETFD) < 0, "the parent's own table", "it has descriptor %d", NUMBER);
	check(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/proc"), "its own directory", "it is %s", cwd);
	end_child("sibling that opens", one);
	end_child("sibling that sees it", other);
	end_child("leader that moved", mover);
	end_child("member of its group", member);
	end_child("orphan", mine);
	check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no other child", "errno %d", errno);
	finish();
}
