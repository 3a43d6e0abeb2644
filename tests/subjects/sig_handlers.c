/*
 * Signal dispositions: handlers with their flags and masks, ignored and default ones, of real-time
 * signals too; and they still run, with their mask, flags and restorer at work.
 */
#include "subject.h"

/* As the kernel has it, restorer and all. */
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static struct kernel_sigaction before[65];
static volatile int ran_simple, ran_info, ran_once, value;
static volatile bool mask_right, nested_right;

static void simple(int sig)
{
	sigset_t now;

	ran_simple++;
	sigprocmask(SIG_BLOCK, NULL, &now);
	mask_right = sigismember(&now, sig) && sigismember(&now, SIGUSR2) && sigismember(&now, SIGRTMAX) &&
		     !sigismember(&now, SIGHUP);
}

static void with_info(int sig, siginfo_t *info, void *context)
{
	sigset_t now;

	(void)context;
	ran_info++;
	value = info->si_value.sival_int;
	sigprocmask(SIG_BLOCK, NULL, &now);
	nested_right = !sigismember(&now, sig); /* SA_NODEFER */
}

static void once(int sig)
{
	(void)sig;
	ran_once++;
}

static void read_all(struct kernel_sigaction *all)
{
	for (int sig = 1; sig <= 64; sig++)
		if (syscall(SYS_rt_sigaction, sig, NULL, &all[sig], 8))
			die("rt_sigaction(%d)", sig);
}

int main(void)
{
	struct sigaction act;
	struct kernel_sigaction after[65];

	subject_init();
	memset(&act, 0, sizeof(act));
	act.sa_handler = simple;
	act.sa_flags = SA_RESTART;
	sigaddset(&act.sa_mask, SIGUSR2);
	sigaddset(&act.sa_mask, SIGRTMAX);
	sigaction(SIGUSR1, &act, NULL);
	memset(&act, 0, sizeof(act));
	act.sa_sigaction = with_info;
	act.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaction(SIGRTMIN + 3, &act, NULL);
	memset(&act, 0, sizeof(act));
	act.sa_handler = once;
	act.sa_flags = SA_RESETHAND | SA_ONSTACK;
	sigaction(SIGUSR2, &act, NULL);
	act.sa_handler = once;
	act.sa_flags = SA_NOCLDSTOP | SA_NOCLDWAIT;
	sigaction(SIGCHLD, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGRTMAX, SIG_IGN);
	read_all(before);
	ready();
	wait_for_term();

	read_all(after);
	int changed = 0;
	for (int sig = 1; sig <= 64; sig++)
		changed += memcmp(&before[sig], &after[sig], sizeof(before[sig])) != 0;
	check_equal("changed dispositions", changed, 0);
	check_equal("no handler has run", ran_simple + ran_info + ran_once, 0);
	raise(SIGHUP);
	raise(SIGPIPE);
	raise(SIGRTMAX);
	check(true, "ignored signals", "-");
	raise(SIGUSR1);
	check_equal("the handler runs", ran_simple, 1);
	check(mask_right, "mask in the handler", "not the one of sigaction()");
	sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 4711 });
	check_equal("the one with siginfo runs", ran_info, 1);
	check_equal("its value", value, 4711);
	check(nested_right, "SA_NODEFER", "the signal was blocked in its handler");
	raise(SIGUSR2);
	sigaction(SIGUSR2, NULL, &act);
	check(ran_once == 1 && act.sa_handler == SIG_DFL, "SA_RESETHAND", "ran %d times, handler %p",
	      ran_once, (void *)act.sa_handler);
	finish();
}
