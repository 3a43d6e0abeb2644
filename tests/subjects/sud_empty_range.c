/*
 * Dispatch with an empty allowed range, as lazypoline has it: with the selector at BLOCK every single
 * call is dispatched, the C library's and rt_sigreturn too. So real calls go through a trampoline
 * which puts the selector to ALLOW and back, and the handler returns with ALLOW to a second trampoline
 * which puts it to BLOCK and jumps to where the call was made.
 *
 * A thread of its own does that; the main thread has no dispatch and waits for SIGTERM.
 */
#include "sud.h"

#include <pthread.h>

static volatile char selector asm("sud_selector") __attribute__((used)) = SUD_ALLOW;
static volatile uint64_t resume_at asm("sud_resume_at") __attribute__((used));
static struct sud_count dispatched;
static volatile long real_calls, real_wrong;
static volatile pid_t worker_tid;
static volatile bool stop;

/* real_call(nr, a, b, c, d, e): a call that reaches the kernel while the rest of the thread is BLOCKed. */
long real_call(long nr, long a, long b, long c, long d, long e);
/* Where the handler returns to: the last step back to BLOCK. Touches neither flags nor registers. */
void resume_blocked(void);
__asm__(".text\n"
	"real_call:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	movb $0, sud_selector(%rip)\n"
	"	syscall\n"
	"	movb $1, sud_selector(%rip)\n"
	"	ret\n"
	"resume_blocked:\n"
	"	movb $1, sud_selector(%rip)\n"
	"	jmp *sud_resume_at(%rip)\n");

static void handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	sud_answer(info, context);
	resume_at = uc->uc_mcontext.gregs[REG_RIP];
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)resume_blocked;
	selector = SUD_ALLOW;
}

static void *worker(void *unused)
{
	struct sud_config config = { PR_SYS_DISPATCH_ON, (uintptr_t)&selector, 0, 0 };
	struct timespec pause = { 0, 1000000 };
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	sud_arm(config);
	pid_t tid = own_tid();
	selector = SUD_BLOCK;
	while (!stop) {
		/* A made-up call, and getpid, whose true answer the handler must not give. */
		sud_issue_next(&dispatched);
		real_calls++;
		if (real_call(SYS_gettid, 0, 0, 0, 0, 0) != tid)
			real_wrong++;
		worker_tid = tid;
		real_call(SYS_nanosleep, (long)&pause, 0, 0, 0, 0);
	}
	if (selector != SUD_BLOCK)
		real_wrong++;
	real_call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
	return unused;
}

int main(void)
{
	pthread_t thread;
	struct sud_config config = { PR_SYS_DISPATCH_ON, (uintptr_t)&selector, 0, 0 };

	subject_init();
	sud_install(handler, 0);
	if (pthread_create(&thread, NULL, worker, NULL))
		die("pthread_create");
	while (!worker_tid)
		sleep_ms(1);
	fact("worker", "%d", worker_tid);
	ready();
	wait_for_term();
	sud_check_config("config of the worker", worker_tid, config);
	sud_check_config("config of the main thread", own_tid(), (struct sud_config){ 0 });
	stop = true;
	pthread_join(thread, NULL);
	sud_check_count("dispatched calls", &dispatched);
	check(real_calls > 0 && real_wrong == 0, "real calls", "%ld made, %ld wrong", real_calls,
	      real_wrong);
	finish();
}
