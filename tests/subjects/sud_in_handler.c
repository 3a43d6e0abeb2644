/*
 * Frozen inside the SIGSYS handler.
 * Usage: sud_in_handler [alt] [nested]
 *   alt: the handler runs on an alternate stack
 *   nested: the selector stays at BLOCK, and the handler makes a foreign call of its own, in whose
 *           handler it is frozen
 * The foreign call is made with known registers, which must be there again when the handlers are done.
 */
#include "sud.h"

static volatile char selector = SUD_BLOCK;
static bool alt, nested;
static volatile int depth;
static char stack[4 * 65536] __attribute__((aligned(4096)));
static volatile long inner_result;
/* The state of the innermost handler when it waits, and when SIGTERM has come. */
static stack_t before, after;
static sigset_t mask_before, mask_after;
static uintptr_t where;

static void handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	depth++;
	sud_answer(info, context);
	if (nested && depth == 1) {
		inner_result = foreign_call(FOREIGN_BASE + 1, 7);
		depth--;
		return;
	}
	where = (uintptr_t)__builtin_frame_address(0);
	sigaltstack(NULL, &before);
	sigprocmask(SIG_BLOCK, NULL, &mask_before);
	ready();
	wait_for_term();
	sigaltstack(NULL, &after);
	sigprocmask(SIG_BLOCK, NULL, &mask_after);
	depth--;
}

/* A foreign call with every register that a call keeps set to a pattern; gives how many were lost. */
static long call_with_patterns(long nr, long seq, long *result)
{
	long lost = 0;

	__asm__ volatile("	push %%rbp\n"
			 "	mov $0x1111222233334444, %%rbp\n"
			 "	mov $0x2222333344445555, %%rbx\n"
			 "	mov $0x3333444455556666, %%r12\n"
			 "	mov $0x4444555566667777, %%r13\n"
			 "	mov $0x5555666677778888, %%r14\n"
			 "	mov $0x6666777788889999, %%r15\n"
			 "	mov $0x777788889999aaaa, %%r9\n"
			 "	movq %%r9, %%xmm7\n"
			 "	call foreign_call\n"
			 "	xor %%edx, %%edx\n"
			 "	movq %%xmm7, %%r8\n"
			 "	cmp %%r8, %%r9\n"
			 "	je 1f\n	inc %%rdx\n1:\n"
			 "	mov $0x777788889999aaaa, %%r8\n"
			 "	cmp %%r8, %%r9\n"
			 "	je 1f\n	inc %%rdx\n1:\n"
			 "	mov $0x1111222233334444, %%r8\n"
			 "	cmp %%r8, %%rbp\n"
			 "	je 1f\n	inc %%rdx\n1:\n"
			 "	mov $0x2222333344445555, %%r8\n"
			 "	cmp %%r8, %%rbx\n"
			 "	je 1f\n	inc %%rdx\n1:\n"
			 "	mov $0x3333444455556666, %%r8\n"
			 "	cmp %%r8, %%r12\n"
			 "	je 1f\n	inc %%rdx\n1:\n"
			 "	mov $0x4444555566667777, %%r8\n"
			 "	cmp %%r8, %%r13\n"
			 "	je 1f\n	inc %%rdx\n1:\n"
			 "	mov $0x5555666677778888, %%r8\n"
			 "	cmp %%r8, %%r14\n"
			 "	je 1f\n	inc %%rdx\n1:\n"
			 "	mov $0x6666777788889999, %%r8\n"
			 "	cmp %%r8, %%r15\n"
			 "	je 1f\n	inc %%rdx\n1:\n"
			 "	pop %%rbp\n"
			 : "+D"(nr), "+S"(seq), "=&a"(*result), "=&d"(lost)
			 :
			 : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm7",
			   "memory", "cc");
	return lost;
}

int main(int argc, char **argv)
{
	struct sud_count count = { 0 };
	long result;

	for (int i = 1; i < argc; i++) {
		alt |= !strcmp(argv[i], "alt");
		nested |= !strcmp(argv[i], "nested");
	}
	subject_init();
	if (alt && sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) }, NULL))
		die("sigaltstack");
	/* SIGSYS is forced: while it is blocked another one would kill. */
	sud_install(handler, (alt ? SA_ONSTACK : 0) | (nested ? SA_NODEFER : 0));
	struct sud_config config = sud_outside_libc(&selector);
	sud_arm(config);

	long lost = call_with_patterns(FOREIGN_BASE, 42, &result);

	check_equal("answer of the outer call", result, ANSWER(42));
	check_equal("registers lost", lost, 0);
	check_equal("depth", depth, 0);
	check_equal("calls seen", sud_call.times, nested ? 2 : 1);
	if (nested)
		check_equal("answer of the inner call", inner_result, ANSWER(7));
	check(!memcmp(&before, &after, sizeof(before)), "alternate stack inside the handler",
	      "{%p %#x %zu} became {%p %#x %zu}", before.ss_sp, before.ss_flags, before.ss_size,
	      after.ss_sp, after.ss_flags, after.ss_size);
	check(!memcmp(&mask_before, &mask_after, 8), "mask inside the handler", "%#lx became %#lx",
	      *(unsigned long *)&mask_before, *(unsigned long *)&mask_after);
	check_equal("SIGSYS blocked inside the handler", sigismember(&mask_after, SIGSYS), !nested);
	check_equal("ran on the alternate stack",
		    where >= (uintptr_t)stack && where < (uintptr_t)stack + sizeof(stack), alt);
	stack_t now;
	sigaltstack(NULL, &now);
	check_equal("alternate stack afterwards", now.ss_flags, alt ? 0 : SS_DISABLE);
	sud_install(sud_handler, 0);
	for (int i = 0; i < 10; i++)
		sud_issue_next(&count);
	sud_check_count("calls afterwards", &count);
	sud_check_config("config", own_tid(), config);
	finish();
}
