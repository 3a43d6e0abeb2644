/* The list of robust futexes: a thread dies with a robust mutex held, and the next owner is told. */
#include "subject.h"

#include <pthread.h>

static pthread_mutex_t mutex;
static volatile bool held, let_die;
static volatile pid_t owner;
static void *head_before;

static void *list_head(pid_t tid)
{
	void *head = NULL;
	size_t size = 0;

	if (syscall(SYS_get_robust_list, tid, &head, &size) || size != 24)
		return NULL;
	return head;
}

static void *worker(void *unused)
{
	owner = own_tid();
	pthread_mutex_lock(&mutex);
	held = true;
	while (!let_die)
		sleep_ms(1);
	/* Ends without unlocking; the kernel walks the list. */
	syscall(SYS_exit, 0);
	return unused;
}

int main(void)
{
	pthread_mutexattr_t attr;
	pthread_t thread;

	subject_init();
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (pthread_mutex_init(&mutex, &attr) || pthread_create(&thread, NULL, worker, NULL))
		die("a robust mutex");
	while (!held)
		sleep_ms(1);
	head_before = list_head(owner);
	void *own_before = list_head(0);
	if (!head_before || !own_before)
		die("get_robust_list");
	ready();
	wait_for_term();
	check(list_head(owner) == head_before, "head of the other thread", "%p instead of %p",
	      list_head(owner), head_before);
	check(list_head(0) == own_before, "own head", "%p instead of %p", list_head(0), own_before);
	check_equal("still held", pthread_mutex_trylock(&mutex), EBUSY);
	let_die = true;
	check_equal("the owner died", pthread_mutex_lock(&mutex), EOWNERDEAD);
	check_equal("made consistent", pthread_mutex_consistent(&mutex), 0);
	check_equal("unlocked", pthread_mutex_unlock(&mutex), 0);
	check_equal("locked again", pthread_mutex_lock(&mutex), 0);
	finish();
}
