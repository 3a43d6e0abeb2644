/*
 * A SIGSYS of a dispatch that is queued and not yet delivered, with its whole siginfo.
 * Usage: sud_pending [thread|process]   whose queue it stands in
 *
 * A real one is forced and waits only for an instant; so the subject sends itself the same siginfo
 * while it has SIGSYS blocked (a task may do so to itself alone). Dispatch is armed at the same time.
 */
#include "sud.h"

static volatile char selector = SUD_ALLOW;
static volatile int delivered;
static siginfo_t got;

static void handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	delivered++;
	got = *info;
}

int main(int argc, char **argv)
{
	bool to_process = !strcmp(arg(argc, argv, 1, "thread"), "process");
	struct sud_count count = { 0 };
	sigset_t sys, pending;
	siginfo_t sent;

	subject_init();
	sud_install(handler, 0);
	struct sud_config config = sud_outside_libc(&selector);
	sud_arm(config);
	sigemptyset(&sys);
	sigaddset(&sys, SIGSYS);
	sigprocmask(SIG_BLOCK, &sys, NULL);

	memset(&sent, 0, sizeof(sent));
	sent.si_signo = SIGSYS;
	sent.si_errno = 5;
	sent.si_code = SYS_USER_DISPATCH;
	sent.si_call_addr = (void *)0x7123456789ab;
	sent.si_syscall = FOREIGN_BASE + 0x777;
	sent.si_arch = AUDIT_ARCH_X86_64;
	if (to_process ? syscall(SYS_rt_sigqueueinfo, getpid(), SIGSYS, &sent) :
			 syscall(SYS_rt_tgsigqueueinfo, getpid(), own_tid(), SIGSYS, &sent))
		die("queueing SIGSYS");
	ready();
	wait_for_term();

	sigpending(&pending);
	check_equal("still pending", sigismember(&pending, SIGSYS), 1);
	check_equal("not delivered while blocked", delivered, 0);
	sigprocmask(SIG_UNBLOCK, &sys, NULL);
	check_equal("delivered once", delivered, 1);
	check_equal("si_signo", got.si_signo, sent.si_signo);
	check_equal("si_errno", got.si_errno, sent.si_errno);
	check_equal("si_code", got.si_code, sent.si_code);
	check_equal("si_call_addr", (long)got.si_call_addr, (long)sent.si_call_addr);
	check_equal("si_syscall", got.si_syscall, sent.si_syscall);
	check_equal("si_arch", got.si_arch, sent.si_arch);
	sud_install(sud_handler, 0);
	selector = SUD_BLOCK;
	for (int i = 0; i < 10; i++)
		sud_issue_next(&count);
	sud_check_count("calls afterwards", &count);
	sud_check_config("config", own_tid(), config);
	finish();
}
