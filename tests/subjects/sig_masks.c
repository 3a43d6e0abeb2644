/* Each thread's own signal mask, all 64 bits of it. Usage: sig_masks [THREADS=4] */
#include "subject.h"

#include <pthread.h>

static volatile bool stop;
static volatile int started;
static uint64_t got[256], want[256];

/* Raw, as the C library hides its own two signals. */
static uint64_t raw_mask(const uint64_t *set)
{
	uint64_t old = 0;

	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, &old, 8))
		die("rt_sigprocmask");
	return old;
}

static void *worker(void *arg)
{
	long index = (long)arg;

	/* SIGKILL and SIGSTOP cannot be blocked; SIGTERM is for the main thread. */
	want[index] = ((0x9e3779b97f4a7c15u * (index + 1)) | 1UL << (SIGTERM - 1)) &
		      ~(1UL << (SIGKILL - 1) | 1UL << (SIGSTOP - 1));
	raw_mask(&want[index]);
	__sync_fetch_and_add(&started, 1);
	while (!stop)
		sleep_ms(2);
	got[index] = raw_mask(NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	int n = atoi(arg(argc, argv, 1, "4"));
	pthread_t threads[256];
	char name[32];

	subject_init();
	for (long i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, worker, (void *)i))
			die("pthread_create");
	while (started < n)
		sleep_ms(1);
	uint64_t main_mask = 1UL << (SIGHUP - 1) | 1UL << (SIGRTMAX - 1);
	raw_mask(&main_mask);
	ready();
	wait_for_term();
	stop = true;
	uint64_t now = raw_mask(NULL);
	check(now == main_mask, "main thread", "%#lx instead of %#lx", now, main_mask);
	for (int i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		snprintf(name, sizeof(name), "thread %d", i);
		check(got[i] == want[i], name, "%#lx instead of %#lx", got[i], want[i]);
	}
	finish();
}
