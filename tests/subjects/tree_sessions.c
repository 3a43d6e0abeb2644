/*
 * A family with everything: sessions and process groups with and without living leaders, zombies not
 * waited for yet (exited and killed), orphans that a subreaper in the tree has adopted, a grandchild in
 * another session than its parent, a thread (not the main one) as the forking parent.
 *
 * Every task notes its pid, parent, group and session in shared memory, and compares them at SIGTERM.
 */
#include "mem.h"

#include <pthread.h>
#include <sys/prctl.h>

#define MAX 16

struct member {
	volatile pid_t pid, ppid, pgrp, sid;
	volatile int set;
};

static struct member *family;

static void note(int index)
{
	struct member *m = &family[index];

	m->pid = getpid();
	m->ppid = getppid();
	m->pgrp = getpgrp();
	m->sid = getsid(0);
	m->set = 1;
}

static void await(int index)
{
	while (!family[index].set)
		sleep_ms(1);
}

static void check_member(int index)
{
	struct member *m = &family[index];
	char name[48];

	snprintf(name, sizeof(name), "member %d", index);
	check(getpid() == m->pid && getppid() == m->ppid && getpgrp() == m->pgrp && getsid(0) == m->sid, name,
	      "pid %d parent %d group %d session %d instead of %d %d %d %d", getpid(), getppid(), getpgrp(),
	      getsid(0), m->pid, m->ppid, m->pgrp, m->sid);
}

static __attribute__((noreturn)) void live_on(int index)
{
	note(index);
	wait_for_term();
	check_member(index);
	child_finish();
}

static pid_t from_thread;

static void *forking_thread(void *unused)
{
	from_thread = fork_child();
	if (from_thread == 0)
		live_on(7);
	while (!term_requested)
		sleep_ms(5);
	return unused;
}

static void check_zombie(const char *name, pid_t pid, int want)
{
	siginfo_t info = { 0 };
	int status = -1;

	check(waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid, name,
	      "it does not wait to be reaped: errno %d", errno);
	check(waitpid(pid, &status, WNOHANG) == pid && status == want, name, "status %#x instead of %#x", status,
	      want);
}

int main(void)
{
	pthread_t thread;
	pid_t p[MAX] = { 0 };

	subject_init();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	family = (void *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	/* 1: a session leader with a child (2) in it and one (3) in a group of its own there. */
	if ((p[1] = fork_child()) == 0) {
		setsid();
		pid_t two = fork_child();
		if (two == 0)
			live_on(2);
		pid_t three = fork_child();
		if (three == 0) {
			setpgid(0, 0);
			live_on(3);
		}
		note(1);
		wait_for_term();
		check_member(1);
		end_child("child 2", two);
		end_child("child 3", three);
		child_finish();
	}
	/* 4: lives in a session and group whose leader has died; we have adopted it. */
	pid_t leader = fork_child();
	if (leader == 0) {
		setsid();
		if (fork_child() == 0) {
			while (getppid() != family[0].pid)
				sleep_ms(1);
			live_on(4);
		}
		_exit(0);
	}
	family[0].pid = getpid();
	waitpid(leader, NULL, 0);
	await(4);
	p[4] = family[4].pid;
	/* 5: leads a group in our session; 6 is in it, and its parent is we. */
	if ((p[5] = fork_child()) == 0) {
		setpgid(0, 0);
		live_on(5);
	}
	await(5);
	if ((p[6] = fork_child()) == 0) {
		setpgid(0, family[5].pid);
		live_on(6);
	}
	/* 7: forked by another thread. */
	if (pthread_create(&thread, NULL, forking_thread, NULL))
		die("pthread_create");
	/* Zombies: exited, killed, and one that led a group. */
	if ((p[8] = fork_child()) == 0)
		_exit(17);
	if ((p[9] = fork_child()) == 0) {
		signal(SIGUSR1, SIG_DFL);
		raise(SIGUSR1);
	}
	if ((p[10] = fork_child()) == 0) {
		setpgid(0, 0);
		_exit(0);
	}
	/* 11: a session leader that is dead already, and whose child (12) lives in a session of its own. */
	if ((p[11] = fork_child()) == 0) {
		setsid();
		if (fork_child() == 0) {
			setsid();
			while (getppid() != family[0].pid)
				sleep_ms(1);
			live_on(12);
		}
		_exit(3);
	}
	for (int i = 1; i <= 12; i++)
		if (i < 8 || i == 12)
			await(i);
	p[12] = family[12].pid;
	for (int i = 8; i <= 11; i++) {
		siginfo_t info;
		waitid(P_PID, p[i], &info, WEXITED | WNOWAIT);
	}
	note(0);
	ready();
	wait_for_term();

	check_member(0);
	check_equal("a group without its leader", getpgid(p[4]), leader);
	check_zombie("zombie that exited", p[8], 17 << 8);
	check_zombie("zombie that was killed", p[9], SIGUSR1);
	check_zombie("zombie that led a group", p[10], 0);
	check_zombie("zombie that led a session", p[11], 3 << 8);
	end_child("child 1", p[1]);
	end_child("adopted child 4", p[4]);
	end_child("child 5", p[5]);
	end_child("child 6", p[6]);
	pthread_join(thread, NULL);
	end_child("child 7", from_thread);
	end_child("adopted child 12", p[12]);
	check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no other child", "errno %d", errno);
	finish();
}
