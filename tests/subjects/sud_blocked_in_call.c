/*
 * A thread with dispatch at BLOCK that is blocked in a real call made from the allowed range.
 * Usage: sud_blocked_in_call [read|poll|futex|nanosleep]
 *
 * The call goes on after whatever happened, gives its true result, and is not dispatched when it is
 * begun again.
 */
#include "sud.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>

#define NAP_S 2

static __thread volatile char selector;
static const char *call;
static int ends[2];
static uint32_t futex_word;
static volatile pid_t worker_tid;
static volatile bool returned, released;
static struct sud_config config;
static struct sud_count before, after;
static volatile long result;
static volatile int error, seen_during;
static volatile bool too_early;

static void *worker(void *unused)
{
	char byte = 0;

	config = sud_outside_libc(&selector);
	sud_arm(config);
	selector = SUD_BLOCK;
	for (int i = 0; i < 10; i++)
		sud_issue_next(&before);
	sud_call.times = 0;
	worker_tid = own_tid();
	double start = now_s();
	if (!strcmp(call, "read")) {
		result = syscall(SYS_read, ends[0], &byte, 1);
		if (byte != 'x')
			result = -2;
	} else if (!strcmp(call, "poll")) {
		result = syscall(SYS_poll, &(struct pollfd){ .fd = ends[0], .events = POLLIN }, 1, -1);
	} else if (!strcmp(call, "futex")) {
		result = syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, NULL, NULL, 0);
	} else {
		result = syscall(SYS_nanosleep, &(struct timespec){ NAP_S, 0 }, NULL);
		too_early = now_s() - start < NAP_S;
	}
	error = errno;
	too_early |= strcmp(call, "nanosleep") && !released;
	seen_during = sud_call.times;
	returned = true;
	for (int i = 0; i < 10; i++)
		sud_issue_next(&after);
	/* A nap may be over before somebody looks whether this thread is as it was. */
	while (!released)
		sleep_ms(10);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	sigset_t term;

	call = arg(argc, argv, 1, "read");
	subject_init();
	sud_install(sud_handler, 0);
	if (pipe(ends))
		die("pipe");
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	if (pthread_create(&thread, NULL, worker, NULL))
		die("pthread_create");
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	while (!worker_tid)
		sleep_ms(1);
	sleep_ms(50);
	fact("worker", "%d", worker_tid);
	ready();
	wait_for_term();

	if (strcmp(call, "nanosleep")) {
		check(!returned, "still blocked", "%s gave %ld, errno %d", call, result, error);
		sud_check_config("config while blocked", worker_tid, config);
	}
	released = true;
	if ((!strcmp(call, "read") || !strcmp(call, "poll")) && write(ends[1], "x", 1) != 1)
		die("write");
	futex_word = 1;
	syscall(SYS_futex, &futex_word, FUTEX_WAKE, 1, NULL, NULL, 0);
	pthread_join(thread, NULL);
	if (!strcmp(call, "read") || !strcmp(call, "poll"))
		check_equal("result of the call", result, 1);
	else /* EAGAIN: the word had changed when the call was made again. */
		check(result == 0 || (!strcmp(call, "futex") && error == EAGAIN), "result of the call", "%ld, errno %d", result, error);
	check(!too_early, "not before its time", "%s returned early", call);
	check_equal("dispatched during the call", seen_during, 0);
	sud_check_count("calls before", &before);
	sud_check_count("calls after", &after);
	finish();
}
