/*
 * Dispatch, and nobody who handles its SIGSYS: calls from the C library are all that it makes, as any other would
 * kill it. Its seccomp filter kills it for getpid as well.
 * Usage: sud_unhandled [default|ignored|pending]   what becomes of a SIGSYS: the default action, nothing, or
 * it is blocked and one waits.
 *
 * Whoever tries a call in it must neither lose the one that waits nor have the kernel reset what is ignored.
 */
#include "sud.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static volatile char selector = SUD_BLOCK;
static volatile int delivered, code;

static void handler(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	delivered++;
	code = info->si_code;
}

static void kill_for_getpid(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		die("seccomp(SECCOMP_SET_MODE_FILTER)");
}

int main(int argc, char **argv)
{
	const char *how = arg(argc, argv, 1, "default");
	bool pending = !strcmp(how, "pending");
	struct sud_count count = { 0 };
	struct sigaction act;
	sigset_t set;

	subject_init();
	/* It cannot ask for it any more when the filter is there. */
	pid_t pid = getpid();
	if (!strcmp(how, "ignored"))
		signal(SIGSYS, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	if (pending && (sigprocmask(SIG_BLOCK, &set, NULL) || kill(pid, SIGSYS)))
		die("SIGSYS");
	struct sud_config config = sud_outside_libc(&selector);
	sud_arm(config);
	kill_for_getpid();
	ready();
	wait_for_term();

	sigaction(SIGSYS, NULL, &act);
	check(act.sa_handler == (strcmp(how, "ignored") ? SIG_DFL : SIG_IGN), "disposition", "%p",
	      (void *)act.sa_handler);
	sigpending(&set);
	check_equal("pending", sigismember(&set, SIGSYS), pending);
	check_equal("selector", selector, SUD_BLOCK);
	sud_check_config("config", own_tid(), config);
	if (pending) {
		sud_install(handler, 0);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		check(delivered == 1 && code == SI_USER, "delivered", "%d times, code %d", delivered, code);
	}
	sud_install(sud_handler, 0);
	for (int i = 0; i < 10; i++)
		sud_issue_next(&count);
	sud_check_count("calls", &count);
	finish();
}
