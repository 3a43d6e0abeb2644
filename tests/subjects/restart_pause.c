/*
 * Calls which only a signal with a handler may end (ERESTARTNOHAND), and that a freeze must not.
 * Usage: restart_pause [pause|sigsuspend|select|semop|msgrcv]
 *   sigsuspend: with the saved mask to be put back when it ends
 *   select: its timeout is rewritten by the kernel when it is interrupted
 *   semop: the kernel ends it with EINTR wherever a thread is stopped
 */
#include "restart.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>

static const char *kind;
static volatile sig_atomic_t handled;
static volatile bool mask_right;
static int object;

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
	if (!strcmp(kind, "semop")) {
		struct sembuf take = { 0, -1, 0 };
		return syscall(SYS_semop, object, &take, 1);
	}
	if (!strcmp(kind, "msgrcv")) {
		struct { long type; char text[8]; } message;
		return syscall(SYS_msgrcv, object, &message, 8, 0, 0);
	}
	return syscall(SYS_pause);
}

static long number(void)
{
	return !strcmp(kind, "sigsuspend") ? SYS_rt_sigsuspend :
	       !strcmp(kind, "select")	   ? SYS_select :
	       !strcmp(kind, "semop")	   ? SYS_semop :
	       !strcmp(kind, "msgrcv")	   ? SYS_msgrcv :
					     SYS_pause;
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_usr1 };

	kind = arg(argc, argv, 1, "pause");
	subject_init();
	sigaction(SIGUSR1, &act, NULL);
	if (!strcmp(kind, "semop"))
		object = semget(IPC_PRIVATE, 1, 0600);
	if (!strcmp(kind, "msgrcv"))
		object = msgget(IPC_PRIVATE, 0600);
	pthread_t thread = start_call(call, number());
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
	if (!strcmp(kind, "semop"))
		semctl(object, 0, IPC_RMID);
	if (!strcmp(kind, "msgrcv"))
		msgctl(object, IPC_RMID, NULL);
	finish();
}
