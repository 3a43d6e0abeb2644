/*
 * A thread sleeps under a filter that kills it for restart_syscall, which it never makes by itself. argv[1]: the
 * call that it sleeps in: nanosleep, poll or futex.
 */
#include "seccomp.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>

#define SECONDS 1
static const char *how;
static volatile double began, ended;
static volatile long result = -1;

static void *sleeper(void *unused)
{
	struct timespec time = { SECONDS, 0 };
	int word = 0;
	(void)unused;
	began = now_s();
	if (!strcmp(how, "nanosleep"))
		result = syscall(SYS_nanosleep, &time, &time);
	else if (!strcmp(how, "poll"))
		result = syscall(SYS_poll, NULL, 0, SECONDS * 1000);
	else
		result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0) == -1 &&
			 errno == ETIMEDOUT ? 0 : errno;
	ended = now_s();
	/* It does not end while it is looked at. */
	while (!term_requested)
		__builtin_ia32_pause();
	return NULL;
}

int main(int argc, char **argv)
{
	struct sock_filter code[] = { LOAD_NR, ON(SYS_restart_syscall, SECCOMP_RET_KILL_PROCESS), ALLOW_REST };
	pthread_t thread;
	how = arg(argc, argv, 1, "nanosleep");
	subject_init();
	install(0, code, COUNT(code));
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	if (pthread_create(&thread, NULL, sleeper, NULL))
		die("pthread_create");
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	sleep_ms(100);
	ready();
	/* No signal may wake it, and this thread must not be the one that dies: it does not sleep. */
	while (!ended || !term_requested)
		__builtin_ia32_pause();
	pthread_join(thread, NULL);
	check_equal("result", result, 0);
	check(ended - began >= SECONDS, "time", "it slept %f s", ended - began);
	finish();
}
