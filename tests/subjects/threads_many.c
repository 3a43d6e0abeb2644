/*
 * Many threads: each has its tid, its name, its thread-local variable and its stack's contents; they
 * wait on futexes, sleep, or count. Usage: threads_many [N=100]
 */
#include "subject.h"

#include <pthread.h>
#include <sys/prctl.h>

struct thread {
	pthread_t thread;
	volatile pid_t tid;
	volatile unsigned long counter, at_term;
	bool right;
};

static __thread long own_index;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static volatile bool stop;
static struct thread *threads;

static void *worker(void *arg)
{
	long index = (long)arg;
	volatile long on_stack[64];
	char comm[16], now[16];

	own_index = index;
	for (int i = 0; i < 64; i++)
		on_stack[i] = index * 100 + i;
	snprintf(comm, sizeof(comm), "t%ld", index);
	prctl(PR_SET_NAME, comm);
	threads[index].tid = own_tid();
	if (index % 3 == 0) {
		pthread_mutex_lock(&mutex);
		while (!stop)
			pthread_cond_wait(&condition, &mutex);
		pthread_mutex_unlock(&mutex);
	} else {
		while (!stop) {
			threads[index].counter++;
			sleep_ms(index % 3 == 1 ? 5 : 50);
		}
	}
	bool right = own_index == index && own_tid() == threads[index].tid;
	for (int i = 0; i < 64; i++)
		right &= on_stack[i] == index * 100 + i;
	prctl(PR_GET_NAME, now);
	threads[index].right = right && !strcmp(comm, now);
	return NULL;
}

int main(int argc, char **argv)
{
	long n = atol(arg(argc, argv, 1, "100"));
	pthread_attr_t attr;
	long wrong = 0, idle = 0;

	subject_init();
	threads = calloc(n, sizeof(*threads));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (long i = 0; i < n; i++)
		if (pthread_create(&threads[i].thread, &attr, worker, (void *)i))
			die("pthread_create(%ld)", i);
	for (long i = 0; i < n; i++)
		while (!threads[i].tid)
			sleep_ms(1);
	fact("threads", "%ld", n + 1);
	ready();
	wait_for_term();

	for (long i = 0; i < n; i++)
		threads[i].at_term = threads[i].counter;
	double until = now_s() + 5;
	do {
		idle = 0;
		for (long i = 0; i < n; i++)
			idle += i % 3 != 0 && threads[i].counter == threads[i].at_term;
		sleep_ms(10);
	} while (idle && now_s() < until);
	check_equal("threads that stand still", idle, 0);
	pthread_mutex_lock(&mutex);
	stop = true;
	pthread_cond_broadcast(&condition);
	pthread_mutex_unlock(&mutex);
	for (long i = 0; i < n; i++) {
		pthread_join(threads[i].thread, NULL);
		wrong += !threads[i].right;
	}
	check_equal("threads that have changed", wrong, 0);
	finish();
}
