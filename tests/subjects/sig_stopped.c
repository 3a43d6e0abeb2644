/*
 * Stopped children: one stopped by SIGSTOP whose parent was told already, one whose parent has not yet
 * asked, and one stopped by SIGTSTP with a signal pending. They go on at SIGCONT and not before.
 */
#include "mem.h"

struct shared {
	volatile uint64_t ticks[3];
	volatile int usr1;
};

static struct shared *shared;

static void on_usr1(int sig)
{
	(void)sig;
	shared->usr1++;
}

static char state_of(pid_t pid)
{
	char path[64], state = '?';

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *file = fopen(path, "r");
	if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (file)
		fclose(file);
	return state;
}

int main(void)
{
	static const int how[3] = { SIGSTOP, SIGSTOP, SIGTSTP };
	struct sigaction act = { .sa_handler = on_usr1 };
	uint64_t before[3];
	pid_t child[3];
	char name[48];
	int status;

	subject_init();
	sigaction(SIGUSR1, &act, NULL);
	shared = (void *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 3; i++) {
		child[i] = fork_child();
		if (child[i] == 0) {
			/* A group of its own: SIGTSTP does not stop a member of an orphaned group. */
			setpgid(0, 0);
			while (!term_requested) {
				shared->ticks[i]++;
				sleep_ms(2);
			}
			child_finish();
		}
		setpgid(child[i], child[i]);
		while (shared->ticks[i] < 2)
			sleep_ms(1);
		kill(child[i], how[i]);
		while (state_of(child[i]) != 'T')
			sleep_ms(1);
	}
	if (waitpid(child[0], &status, WUNTRACED) != child[0] || !WIFSTOPPED(status))
		die("waitpid(WUNTRACED)");
	kill(child[2], SIGUSR1);
	for (int i = 0; i < 3; i++) {
		before[i] = shared->ticks[i];
		snprintf(name, sizeof(name), "child%d", i);
		fact(name, "%d", child[i]);
	}
	ready();
	wait_for_term();

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "child %d is stopped", i);
		check(state_of(child[i]) == 'T', name, "its state is %c", state_of(child[i]));
		snprintf(name, sizeof(name), "child %d has not run", i);
		check_equal(name, shared->ticks[i], before[i]);
	}
	check_equal("pending signal not delivered", shared->usr1, 0);
	check_equal("child 0: told already", waitpid(child[0], &status, WUNTRACED | WNOHANG), 0);
	pid_t told = waitpid(child[1], &status, WUNTRACED | WNOHANG);
	check(told == child[1] && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "child 1: told now",
	      "%d, status %#x", told, status);
	told = waitpid(child[2], &status, WUNTRACED | WNOHANG);
	check(told == child[2] && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP, "child 2: told now",
	      "%d, status %#x", told, status);
	for (int i = 0; i < 3; i++) {
		kill(child[i], SIGCONT);
		for (int t = 0; t < 500 && shared->ticks[i] == before[i]; t++)
			sleep_ms(2);
		snprintf(name, sizeof(name), "child %d goes on", i);
		check(shared->ticks[i] > before[i], name, "not within a second of SIGCONT");
		snprintf(name, sizeof(name), "child %d", i);
		end_child(name, child[i]);
	}
	check_equal("pending signal delivered", shared->usr1, 1);
	finish();
}
