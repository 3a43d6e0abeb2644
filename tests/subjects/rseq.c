/*
 * The restartable sequences that the C library registers for every thread: they are still registered,
 * at the same place with the same signature, and the kernel goes on writing the CPU number there.
 */
#include "subject.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/rseq.h>

#define THREADS 2

static volatile bool stop;
static volatile int started;
static volatile bool registered[THREADS + 1], kept[THREADS + 1];

static volatile struct rseq *own_rseq(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/* Registering again tells what is registered: EBUSY for the same, EINVAL for another place. */
static bool is_registered(void)
{
	static _Alignas(32) char elsewhere[64];
	unsigned size = __rseq_size > 32 ? __rseq_size : 32;

	return syscall(SYS_rseq, own_rseq(), size, 0, RSEQ_SIG) == -1 && errno == EBUSY &&
	       syscall(SYS_rseq, elsewhere, 32, 0, RSEQ_SIG) == -1 && errno == EINVAL &&
	       syscall(SYS_rseq, own_rseq(), size, 0, RSEQ_SIG ^ 1) == -1 && errno == EPERM;
}

/* The kernel writes the CPU's number when a thread was moved: so on every CPU that it may use. */
static bool cpu_follows(void)
{
	cpu_set_t all, one;
	bool good = true;

	sched_getaffinity(0, sizeof(all), &all);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		good &= own_rseq()->cpu_id == (uint32_t)cpu && own_rseq()->cpu_id_start == (uint32_t)cpu;
	}
	sched_setaffinity(0, sizeof(all), &all);
	return good;
}

static void *worker(void *arg)
{
	long index = (long)arg;

	if (!is_registered())
		die("not registered at the start");
	__sync_fetch_and_add(&started, 1);
	while (!stop)
		sleep_ms(1);
	registered[index] = is_registered();
	kept[index] = cpu_follows();
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	char name[48];

	subject_init();
	if (__rseq_size == 0)
		unsupported("the C library has no rseq registered");
	if (!is_registered())
		die("not registered at the start");
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, worker, (void *)i))
			die("pthread_create");
	while (started < THREADS)
		sleep_ms(1);
	ready();
	wait_for_term();
	stop = true;
	registered[THREADS] = is_registered();
	kept[THREADS] = cpu_follows();
	for (int i = 0; i <= THREADS; i++) {
		if (i < THREADS)
			pthread_join(threads[i], NULL);
		snprintf(name, sizeof(name), "registration of thread %d", i);
		check(registered[i], name, "lost or changed");
		snprintf(name, sizeof(name), "CPU number of thread %d", i);
		check(kept[i], name, "the kernel does not write it");
	}
	finish();
}
