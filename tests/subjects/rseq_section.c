/*
 * A thread that is nearly always inside of a restartable sequence. A freeze stops it in there, and what
 * runs in it meanwhile must not make the kernel forget that: it has to go on at the abort handler.
 *
 * The kernel clears the pointer to the section when it aborts it, and when it finds the thread outside. So
 * a sequence that gets to its end and finds the pointer cleared was torn: it was interrupted by something
 * outside of it and went on in the middle.
 */
#include "subject.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/rseq.h>

static volatile bool stop;
static volatile unsigned long commits, aborts, torn;

static struct rseq *own_rseq(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/* One sequence: 1 if it was committed with its section still set, 0 if aborted, -1 if it was torn. */
static int sequence(struct rseq *rseq)
{
	uint64_t seen = 1;
	int aborted = 0;

	__asm__ volatile(
		".pushsection __rseq_cs, \"aw\"\n"
		".balign 32\n"
		"3: .long 0, 0\n"
		".quad 1f, (2f - 1f), 4f\n"
		".popsection\n"
		"leaq 3b(%%rip), %%rax\n"
		"movq %%rax, %[cs]\n"
		"1:\n"
		"movl $20000, %%ecx\n"
		"5: decl %%ecx\n"
		"jnz 5b\n"
		"movq %[cs], %[seen]\n"
		"2:\n"
		"jmp 6f\n"
		".long %c[sig]\n"
		"4: movl $1, %[aborted]\n"
		"6:\n"
		: [seen] "+&r"(seen), [aborted] "+&r"(aborted), [cs] "+m"(rseq->rseq_cs)
		: [sig] "i"(RSEQ_SIG)
		: "rax", "rcx", "memory", "cc");
	if (aborted)
		return 0;
	return seen ? 1 : -1;
}

static void *worker(void *unused)
{
	struct rseq *rseq = own_rseq();

	while (!stop) {
		int how = sequence(rseq);
		if (how > 0)
			commits++;
		else if (how == 0)
			aborts++;
		else
			torn++;
	}
	return unused;
}

int main(void)
{
	pthread_t thread;

	subject_init();
	if (__rseq_size == 0)
		unsupported("the C library has registered no restartable sequences");
	if (pthread_create(&thread, NULL, worker, NULL))
		die("pthread_create");
	while (!commits)
		sleep_ms(1);
	ready();
	wait_for_term();
	unsigned long before = commits;
	for (int i = 0; i < 250 && commits == before; i++)
		sleep_ms(20);
	check(commits > before, "sequences go on", "%lu", commits);
	check(torn == 0, "no sequence is torn", "%lu of %lu (%lu aborted)", torn, commits, aborts);
	stop = true;
	pthread_join(thread, NULL);
	finish();
}
