/*
 * Calls which only a signal with a handler may end (ERESTARTNOHAND), and that a freeze must not.
 * Usage: restart_pause [pause|sigsuspend|select]
 *   sigsuspend: with the saved mask to be put back when it ends
 *   select: its timeout is rewritten by the kernel when it is interrupted
 */
#include "restart.h"

#include <sys/select.h>

static const char *kind;
static volatile sig_atomic_t handled;
static volatile bool mask_right;

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
}

static long call(void)
{
	sigset_t open, mask;
	long result;

	sigfillset(&open);
	sigdelset(&open, SIGUSR1);
	if (!strcmp(kind, "sigsuspend")) {
		result = sigsuspend(&open);
		int error = errno;
		pthread_sigmask(SIG_BLOCK, NULL, &mask);
		mask_right = sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGUSR2);
		errno = error;
		return result;
	}
	pthread_sigmask(SIG_SETMASK, &open, NULL);
	if (!strcmp(kind, "select")) {
		struct timeval limit = { 1000, 0 };
		return syscall(SYS_select, 0, NULL, NULL, NULL, &limit);
	}
	return syscall(SYS_pause);
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_usr1 };

	kind = arg(argc, argv, 1, "pause");
	subject_init();
	sigaction(SIGUSR1, &act, NULL);
	pthread_t thread = start_call(call, !strcmp(kind, "sigsuspend") ? SYS_rt_sigsuspend :
					    !strcmp(kind, "select")	? SYS_select :
									  SYS_pause);
	ready();
	wait_for_term();
	check_blocked();
	check_equal("no signal yet", handled, 0);
	pthread_kill(thread, SIGUSR1);
	check_result(thread, -1);
	check_equal("errno", outcome.error, EINTR);
	check_equal("one signal", handled, 1);
	if (!strcmp(kind, "sigsuspend"))
		check(mask_right, "mask put back", "SIGUSR1 or SIGUSR2 is open");
	finish();
}
