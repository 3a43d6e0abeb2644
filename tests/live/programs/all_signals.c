/*
 * Blocks, ignores or handles every signal that can be, SIGTRAP and SIGURG too, and looks at SIGTERM that
 * nothing of it has changed; counts those that arrive. Usage: all_signals block|ignore|handle
 */
#include "../../subjects/subject.h"

static volatile int got[65], code[65];

static void count(int sig, siginfo_t *info, void *context)
{
	(void)context;
	got[sig]++;
	code[sig] = info->si_code;
	if (sig == SIGTERM)
		term_requested = 1;
}

static bool usable(int sig)
{
	return sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33;
}

int main(int argc, char **argv)
{
	const char *how = arg(argc, argv, 1, "handle");
	bool ignore = !strcmp(how, "ignore");
	struct sigaction act = { .sa_flags = SA_SIGINFO | SA_RESTART };
	sigset_t mask, before, now;
	int wrong = 0;

	act.sa_sigaction = count;
	sigemptyset(&mask);
	for (int sig = 1; sig < 65; sig++) {
		if (!usable(sig))
			continue;
		struct sigaction mine = act;
		if (ignore && sig != SIGTERM)
			mine = (struct sigaction){ .sa_handler = SIG_IGN };
		sigaction(sig, &mine, NULL);
		if (!strcmp(how, "block") && sig != SIGTERM)
			sigaddset(&mask, sig);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigprocmask(SIG_SETMASK, NULL, &before);
	ready();
	while (!term_requested)
		sleep_ms(2);

	sigprocmask(SIG_SETMASK, NULL, &now);
	check(!memcmp(&before, &now, 8), "mask", "%#lx", *(unsigned long *)&now);
	for (int sig = 1; sig < 65; sig++) {
		struct sigaction is;
		if (!usable(sig))
			continue;
		sigaction(sig, NULL, &is);
		wrong += is.sa_sigaction != (ignore && sig != SIGTERM ? (void *)SIG_IGN : count);
		if (got[sig])
			say("got %d %d code %d", sig, got[sig], code[sig]);
	}
	check_equal("handlers", wrong, 0);
	sigpending(&now);
	for (int sig = 1; sig < 65; sig++)
		if (sigismember(&now, sig) == 1)
			say("pending %d", sig);
	finish();
}
