/*
 * Orphans of one dead session at several places: below two leaders of sessions of their own that were born in it, one of
 * which leads deeper down, and of the root itself; and of a session whose leader is a zombie.
 */
#include "mem.h"

#include <sys/prctl.h>

#define MAX 12

struct place {
	volatile pid_t pid, ppid, pgrp, sid;
};

static struct place *places;

static void note(int index)
{
	places[index].ppid = getppid();
	places[index].pgrp = getpgrp();
	places[index].sid = getsid(0);
	places[index].pid = getpid();
}

static void await(int index)
{
	while (!places[index].pid)
		sleep_ms(1);
}

static __attribute__((noreturn)) void live_on(int index)
{
	struct place *p = &places[index];
	char name[32];

	snprintf(name, sizeof(name), "place %d", index);
	wait_for_term();
	check(getpid() == p->pid && getppid() == p->ppid && getpgrp() == p->pgrp && getsid(0) == p->sid, name,
	      "pid %d parent %d group %d session %d instead of %d %d %d %d", getpid(), getppid(), getpgrp(), getsid(0),
	      p->pid, p->ppid, p->pgrp, p->sid);
	child_finish();
}

/* Waits until another one is the parent. */
static void adopted_by(pid_t parent)
{
	while (getppid() != parent)
		sleep_ms(1);
}

/* A child that stays where it is born. */
static pid_t member(int index)
{
	pid_t pid = fork_child();
	if (pid == 0) {
		note(index);
		live_on(index);
	}
	await(index);
	return pid;
}

/* Leads a session of its own, with a child in the one that it was born in; `deeper`: which is below another leader. */
static void leader(int index, pid_t parent, bool deeper)
{
	pid_t child = 0;

	if (deeper) {
		child = fork_child();
		if (child == 0) {
			pid_t pid = member(index + 2);
			setsid();
			note(index + 1);
			wait_for_term();
			end_child("the orphan deeper down", pid);
			live_on(index + 1);
		}
		await(index + 1);
	} else
		child = member(index + 1);
	setsid();
	adopted_by(parent);
	note(index);
	wait_for_term();
	end_child("its child", child);
	live_on(index);
}

int main(void)
{
	pid_t root = getpid(), pid[MAX] = { 0 };
	siginfo_t info;

	subject_init();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	places = (void *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t dead = fork_child();
	if (dead == 0) {
		setsid();
		if (fork_child() == 0)
			leader(1, root, false);
		await(2);
		if (fork_child() == 0)
			leader(3, root, true);
		await(5);
		if (fork_child() == 0) {
			adopted_by(root);
			note(6);
			live_on(6);
		}
		_exit(0);
	}
	waitpid(dead, NULL, 0);
	/* The leader of this one stays a zombie. */
	pid_t zombie = fork_child();
	if (zombie == 0) {
		setsid();
		if (fork_child() == 0)
			leader(7, root, false);
		await(8);
		_exit(0);
	}
	waitid(P_PID, zombie, &info, WEXITED | WNOWAIT);
	for (int i = 1; i < 9; i++) {
		await(i);
		pid[i] = places[i].pid;
	}
	ready();
	wait_for_term();
	check(waitpid(zombie, NULL, WNOHANG) == zombie, "the zombie", "errno %d", errno);
	end_child("the first leader", pid[1]);
	end_child("the second leader", pid[3]);
	end_child("its own orphan", pid[6]);
	end_child("the zombie's leader", pid[7]);
	check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no other child", "errno %d", errno);
	finish();
}
