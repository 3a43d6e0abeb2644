/*
 * Alternate signal stacks: of the main thread (idle, with SS_AUTODISARM in one variant) and of a
 * thread that is frozen while it runs on its own.
 * Usage: sig_altstack [autodisarm]
 */
#include "subject.h"

#include <pthread.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif
#define SIZE 65536

static char main_stack[SIZE], thread_stack[SIZE];
static stack_t inside_before, inside_after;
static volatile bool on_stack, leave, left;
static volatile int runs;
static volatile uintptr_t ran_at;

static void in_thread(int sig)
{
	char here;

	(void)sig;
	ran_at = (uintptr_t)&here;
	sigaltstack(NULL, &inside_before);
	on_stack = true;
	while (!leave)
		sleep_ms(2);
	sigaltstack(NULL, &inside_after);
	left = true;
}

static void in_main(int sig)
{
	char here;

	(void)sig;
	runs++;
	ran_at = (uintptr_t)&here;
}

static void *worker(void *unused)
{
	if (sigaltstack(&(stack_t){ .ss_sp = thread_stack, .ss_size = SIZE }, NULL))
		die("sigaltstack");
	pthread_kill(pthread_self(), SIGUSR1);
	return unused;
}

static bool within(uintptr_t address, const char *stack)
{
	return address >= (uintptr_t)stack && address < (uintptr_t)stack + SIZE;
}

int main(int argc, char **argv)
{
	int autodisarm = strcmp(arg(argc, argv, 1, ""), "autodisarm") ? 0 : (int)SS_AUTODISARM;
	struct sigaction act = { .sa_handler = in_thread, .sa_flags = SA_ONSTACK };
	pthread_t thread;
	sigset_t term;
	stack_t now;

	subject_init();
	sigaction(SIGUSR1, &act, NULL);
	act.sa_handler = in_main;
	sigaction(SIGUSR2, &act, NULL);
	if (sigaltstack(&(stack_t){ .ss_sp = main_stack, .ss_size = SIZE, .ss_flags = autodisarm }, NULL))
		die("sigaltstack");
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	if (pthread_create(&thread, NULL, worker, NULL))
		die("pthread_create");
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	while (!on_stack)
		sleep_ms(1);
	ready();
	wait_for_term();

	sigaltstack(NULL, &now);
	check(now.ss_sp == main_stack && now.ss_size == SIZE && now.ss_flags == autodisarm,
	      "of the main thread", "{%p %#x %zu}", now.ss_sp, now.ss_flags, now.ss_size);
	check(within(ran_at, thread_stack), "the thread runs on its own", "it ran at %#lx", ran_at);
	leave = true;
	pthread_join(thread, NULL);
	check(left && inside_after.ss_sp == inside_before.ss_sp &&
		      inside_after.ss_flags == inside_before.ss_flags &&
		      inside_after.ss_size == inside_before.ss_size && inside_after.ss_flags == SS_ONSTACK,
	      "seen from on it", "{%p %#x %zu} became {%p %#x %zu}", inside_before.ss_sp,
	      inside_before.ss_flags, inside_before.ss_size, inside_after.ss_sp, inside_after.ss_flags,
	      inside_after.ss_size);
	raise(SIGUSR2);
	check(runs == 1 && within(ran_at, main_stack), "a handler runs on it", "%d times, at %#lx", runs,
	      ran_at);
	sigaltstack(NULL, &now);
	check(now.ss_sp == main_stack && now.ss_flags == autodisarm, "afterwards", "{%p %#x %zu}", now.ss_sp,
	      now.ss_flags, now.ss_size);
	finish();
}
