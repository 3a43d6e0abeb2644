/*
 * What parents are yet to be told of their children, and how: one that went on after a stop (WCONTINUED), with two
 * threads; one of which that was told; children whose ends are told by other signals than SIGCHLD (clone(2)), or by
 * none, living and dead.
 */
#include "mem.h"

#include <pthread.h>

/* The signals that tell of the ends of these, and whether they have ended already. */
static const struct {
	int signal;
	bool dead;
} clones[] = { { SIGUSR1, false }, { 0, false }, { 40, false }, { SIGUSR2, true }, { 0, true }, { 41, true } };
#define CLONES (sizeof(clones) / sizeof(*clones))

static volatile int told[65];

static void on_signal(int sig)
{
	told[sig]++;
}

static void *idle(void *unused)
{
	wait_for_term();
	return unused;
}

/* A child that has been stopped and goes on; `threaded`: with another thread. */
static pid_t continued(bool threaded)
{
	siginfo_t info;
	pid_t pid = fork_child();

	if (pid == 0) {
		pthread_t thread;
		if (threaded && pthread_create(&thread, NULL, idle, NULL))
			die("pthread_create");
		raise(SIGSTOP);
		wait_for_term();
		child_finish();
	}
	if (waitid(P_PID, pid, &info, WSTOPPED))
		die("WSTOPPED");
	kill(pid, SIGCONT);
	if (waitid(P_PID, pid, &info, WCONTINUED | WNOWAIT))
		die("WCONTINUED");
	return pid;
}

static bool is_told(pid_t pid)
{
	siginfo_t info = { 0 };
	return waitid(P_PID, pid, &info, WCONTINUED | WNOHANG) == 0 && info.si_pid == pid &&
	       info.si_code == CLD_CONTINUED;
}

int main(void)
{
	pid_t child[CLONES];
	siginfo_t info;
	char name[64];

	subject_init();
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	for (size_t i = 0; i < CLONES; i++)
		if (clones[i].signal)
			sigaction(clones[i].signal, &act, NULL);
	pid_t waits = continued(true), known = continued(false);
	if (!is_told(known))
		die("WCONTINUED");
	for (size_t i = 0; i < CLONES; i++) {
		child[i] = syscall(SYS_clone, clones[i].signal, 0, 0, 0, 0);
		if (child[i] < 0)
			die("clone");
		if (child[i] == 0) {
			if (!clones[i].dead)
				wait_for_term();
			_exit(i + 1);
		}
		if (clones[i].dead && waitid(P_PID, child[i], &info, WEXITED | WNOWAIT | __WALL))
			die("waitid");
	}
	while (told[SIGUSR2] < 1 || told[41] < 1)
		sleep_ms(1);
	ready();
	wait_for_term();

	check(is_told(waits), "it goes on", "its parent is not told");
	check(!is_told(waits), "it goes on, once", "its parent is told again");
	check(!is_told(known), "what was told already", "its parent is told again");
	for (size_t i = 0; i < CLONES; i++) {
		int signal = clones[i].signal, status = 0;
		snprintf(name, sizeof(name), "signal %d", signal);
		check_equal(name, told[signal], signal && clones[i].dead);
		snprintf(name, sizeof(name), "child %zu is no other", i);
		check(waitpid(child[i], NULL, WNOHANG) == -1 && errno == ECHILD, name, "errno %d", errno);
		if (!clones[i].dead)
			kill(child[i], SIGTERM);
		snprintf(name, sizeof(name), "end of child %zu", i);
		check(waitpid(child[i], &status, __WALL) == child[i] && status == (int)(i + 1) << 8, name,
		      "errno %d, status %#x", errno, status);
		if (signal && !clones[i].dead) {
			snprintf(name, sizeof(name), "signal %d", signal);
			check_equal(name, told[signal], 1);
		}
	}
	end_child("the one that goes on", waits);
	end_child("the other one", known);
	finish();
}
