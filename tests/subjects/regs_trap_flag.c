/* A thread that single-steps itself, as debuggers, tracers and emulators do: it has the trap flag set while it sleeps in a
 * system call ("call") or runs ("run"), and handles the SIGTRAP of every step. Usage: regs_trap_flag call|run */
#include "subject.h"

#include <pthread.h>

static volatile bool stop;
static volatile long steps, rounds, wrong_count, wrong_code, wrong_result;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	steps++;
	if (info->si_code != TRAP_TRACE)
		wrong_code = info->si_code;
}

/* Sleeps for 50 ms with the trap flag set. */
static long step_through_call(void)
{
	struct timespec time = { 0, 50000000 };
	long result;

	asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n"
		     "syscall\n"
		     "pushfq; andq $~0x100, (%%rsp); popfq"
		     : "=a"(result)
		     : "a"(SYS_nanosleep), "D"(&time), "S"(0L)
		     : "rcx", "r11", "memory", "cc");
	return result;
}

/* Runs a thousand times through a loop with the trap flag set. */
static long step_through_loop(void)
{
	long count = 1000;

	asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n"
		     "1: dec %0; jnz 1b\n"
		     "pushfq; andq $~0x100, (%%rsp); popfq"
		     : "+r"(count)
		     :
		     : "memory", "cc");
	return count;
}

static void *stepper(void *arg)
{
	long (*step)(void) = arg;
	long want = 0;

	while (!stop) {
		long before = steps;
		long result = step();
		if (want == 0)
			want = steps - before;
		else if (steps - before != want)
			wrong_count = steps - before;
		if (result != 0)
			wrong_result = result;
		rounds++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	bool call = !strcmp(arg(argc, argv, 1, "call"), "call");
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	pthread_t thread;

	subject_init();
	sigaction(SIGTRAP, &action, NULL);
	/* Whoever asks for the verdict must not end its call: the first thread may have a signal to look at still. */
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	if (pthread_create(&thread, NULL, stepper, call ? step_through_call : step_through_loop))
		die("pthread_create");
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	while (rounds < 2)
		sleep_ms(1);
	ready();
	wait_for_term();
	long before = rounds;
	for (int waited = 0; rounds < before + 2 && waited < 5000; waited++)
		sleep_ms(1);
	check(rounds >= before + 2, "it goes on", "%ld rounds", rounds - before);
	stop = true;
	pthread_join(thread, NULL);
	check_equal("steps of a round that had another number", wrong_count, 0);
	check_equal("code of a trap that was none of a step", wrong_code, 0);
	check_equal("what it stepped through", wrong_result, 0);
	struct sigaction now;
	sigaction(SIGTRAP, NULL, &now);
	check(now.sa_sigaction == on_trap, "the handler is there", "it is gone");
	finish();
}
