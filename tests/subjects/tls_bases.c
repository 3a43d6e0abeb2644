/* The fs and gs bases of several threads, and what stands behind them. */
#include "subject.h"

#include <asm/prctl.h>
#include <pthread.h>

#define THREADS 3

static __thread uint64_t own_value;
static uint64_t gs_blocks[THREADS][4];
static volatile bool stop;
static volatile int started;
static bool right[THREADS];

static void *worker(void *arg)
{
	long index = (long)arg;
	unsigned long fs, gs, fs_now = 0, gs_now = 0, through = 0;

	/* Thread 0 has no gs base, as most programs. */
	gs = index ? (unsigned long)gs_blocks[index] : 0;
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, gs) || syscall(SYS_arch_prctl, ARCH_GET_FS, &fs))
		die("arch_prctl");
	gs_blocks[index][1] = own_value = 0x1234567800 + index;
	__sync_fetch_and_add(&started, 1);
	bool good = true;
	while (!stop || gs_now == 0) {
		syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_now);
		syscall(SYS_arch_prctl, ARCH_GET_GS, &gs_now);
		if (index) {
			__asm__ volatile("mov %%gs:8, %0" : "=r"(through) : : "memory");
			good &= through == own_value;
		}
		good &= fs_now == fs && gs_now == gs && own_value == 0x1234567800 + (uint64_t)index;
		if (!index && stop)
			break;
		sleep_ms(1);
	}
	right[index] = good;
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	char name[32];

	subject_init();
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, worker, (void *)i))
			die("pthread_create");
	while (started < THREADS)
		sleep_ms(1);
	ready();
	wait_for_term();
	stop = true;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		snprintf(name, sizeof(name), "bases of thread %d", i);
		check(right[i], name, "fs, gs or what stands behind them changed");
	}
	finish();
}
