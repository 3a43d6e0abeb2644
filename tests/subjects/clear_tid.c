/*
 * set_tid_address: the kernel clears a word of the thread and wakes who waits there when it dies.
 * pthread_join() depends on it; a word of the thread's own choice is tested beside it.
 */
#include "subject.h"

#include <linux/futex.h>
#include <pthread.h>

static volatile uint32_t word = 0x7777;
static volatile bool stop, started;

static void *worker(void *unused)
{
	/* Gives back the thread's tid; from here on pthread_join() would wait for ever. */
	if (syscall(SYS_set_tid_address, &word) != own_tid())
		die("set_tid_address");
	started = true;
	while (!stop)
		sleep_ms(1);
	return unused;
}

static void *joined(void *unused)
{
	while (!stop)
		sleep_ms(1);
	return unused;
}

int main(void)
{
	pthread_t own, usual;
	struct timespec limit = { 5, 0 };

	subject_init();
	if (pthread_create(&own, NULL, worker, NULL) || pthread_create(&usual, NULL, joined, NULL))
		die("pthread_create");
	while (!started)
		sleep_ms(1);
	ready();
	wait_for_term();
	check_equal("the word before", word, 0x7777);
	stop = true;
	long woken = syscall(SYS_futex, &word, FUTEX_WAIT, 0x7777, &limit, NULL, 0);
	check(woken == 0 || errno == EAGAIN, "woken at the thread's end", "errno %d", errno);
	check_equal("the word after", word, 0);
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	check_equal("joined", pthread_timedjoin_np(usual, NULL, &until), 0);
	finish();
}
