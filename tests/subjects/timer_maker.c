/*
 * A timer on the CPU clock of the thread that made it, which signals another thread: the kernel tells of the other one
 * alone. Afterwards it must be the maker's time still that makes it run down, and nobody else's.
 */
#include "subject.h"

#include <pthread.h>

static volatile pid_t told;
static volatile int timer = -1;
static volatile bool work, stop;
static volatile uint64_t worked;

static int64_t left(void)
{
	struct itimerspec spec = { { -1, 0 }, { -1, 0 } };

	syscall(SYS_timer_gettime, timer, &spec);
	return spec.it_value.tv_sec * 1000000000LL + spec.it_value.tv_nsec;
}

static void burn(void)
{
	for (int i = 0; i < 20000000; i++)
		worked++;
}

static void *makes(void *unused)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec spec = { { 0, 0 }, { 1000, 0 } };
	int id;

	event._sigev_un._tid = told;
	if (syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &id) ||
	    syscall(SYS_timer_settime, id, 0, &spec, NULL))
		die("a timer");
	timer = id;
	while (!stop) {
		if (work) {
			burn();
			work = false;
		}
		pause();
	}
	return unused;
}

static void on_signal(int signal)
{
	(void)signal;
}

int main(void)
{
	pthread_t maker;

	subject_init();
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, on_signal);
	told = own_tid();
	if (pthread_create(&maker, NULL, makes, NULL))
		die("pthread_create");
	while (timer < 0)
		sleep_ms(1);
	ready();
	wait_for_term();
	int64_t before = left();
	burn();
	check(left() == before, "while another thread runs", "%lld ns went by", (long long)(before - left()));
	for (work = true; work; sleep_ms(1))
		pthread_kill(maker, SIGUSR2);
	check(left() < before - 1000000, "while its maker runs", "only %lld ns went by",
	      (long long)(before - left()));
	for (stop = true; pthread_tryjoin_np(maker, NULL); sleep_ms(1))
		pthread_kill(maker, SIGUSR2);
	finish();
}
