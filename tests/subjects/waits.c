/*
 * Threads that wait for a time.
 * Usage: waits relative|eintr [stopped]
 *   relative: in every call whose timeout counts from its beginning. Each has waited for a second before this is
 *     ready; the test looks at how long they would wait yet
 *   eintr: in calls that the kernel ends with EINTR when a thread is stopped (signal(7)), whoever stops it
 *   stopped: somebody has stopped it by the time of the verdict; otherwise it interrupts its threads itself
 */
#include "restart.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

#define LONG 1000

static int ends[2];
static uint32_t word;
static struct timespec remaining[2], left_of_ppoll = { LONG, 0 };
static struct timeval left_of_select = { LONG, 0 };
static volatile long results[8];
static bool eintr;

static long end_in(long which)
{
	struct timespec time = { LONG, 0 };
	struct timeval receive = { LONG, 0 };
	struct epoll_event event;
	int pair[2];
	sigset_t set;
	char byte;

	switch (which) {
	case 0:
		return epoll_wait(epoll_create1(0), &event, 1, LONG * 1000);
	case 1:
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		return syscall(SYS_rt_sigtimedwait, &set, NULL, &time, 8);
	default:
		socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof(receive));
		return recv(pair[0], &byte, 1, 0);
	}
}

static long wait_in(long which)
{
	struct timespec time = { LONG, 0 };
	struct pollfd fd = { .fd = ends[0], .events = POLLIN };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ends[0], &set);
	switch (which) {
	case 0:
		return syscall(SYS_nanosleep, &time, NULL);
	case 1:
		return syscall(SYS_nanosleep, &time, &remaining[0]);
	case 2:
		return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, NULL);
	case 3:
		return syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &time, &remaining[1]);
	case 4:
		return syscall(SYS_poll, &fd, 1, LONG * 1000);
	case 5:
		return syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &time, NULL, 0);
	case 6:
		return syscall(SYS_ppoll, &fd, 1, &left_of_ppoll, NULL, 8);
	default:
		return syscall(SYS_select, ends[0] + 1, &set, NULL, NULL, &left_of_select);
	}
}

static void on_interruption(int sig)
{
	(void)sig;
}

static void *worker(void *which)
{
	results[(long)which] = eintr ? end_in((long)which) : wait_in((long)which);
	if (results[(long)which] < 0)
		results[(long)which] = -errno;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[8];

	eintr = !strcmp(arg(argc, argv, 1, "relative"), "eintr");
	bool stopped = argc > 2;
	int count = eintr ? 3 : 8;
	subject_init();
	sigset_t all;
	sigfillset(&all);
	sigdelset(&all, SIGUSR2);
	struct sigaction interruption = { .sa_handler = on_interruption };
	sigaction(SIGUSR2, &interruption, NULL);
	if (pipe(ends))
		die("pipe");
	for (long i = 0; i < count; i++) {
		results[i] = 12345;
		sigset_t old;
		pthread_sigmask(SIG_SETMASK, &all, &old);
		if (pthread_create(&threads[i], NULL, worker, (void *)i))
			die("pthread_create");
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	sleep_ms(1200);
	ready();
	wait_for_term();
	for (int i = 0; eintr && !stopped && i < count; i++)
		pthread_kill(threads[i], SIGUSR2);
	for (int i = 0; eintr && i < count; i++)
		if (pthread_join(threads[i], NULL) == 0)
			check_equal("interrupted", results[i], -EINTR);
	if (eintr)
		finish();
	for (int i = 0; i < count; i++)
		check_equal("still waits", results[i], 12345);
	if (stopped) {
		check(left_of_ppoll.tv_sec < LONG, "ppoll", "%ld s are left", left_of_ppoll.tv_sec);
		check(left_of_select.tv_sec < LONG, "select", "%ld s are left", left_of_select.tv_sec);
	}
	/* What they wait for still ends them. */
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
	if (write(ends[1], "x", 1) != 1)
		die("write");
	for (int i = 4; i < 8; i++)
		if (pthread_join(threads[i], NULL))
			die("pthread_join");
	check_equal("poll", results[4], 1);
	check_equal("futex", results[5], 0);
	check_equal("ppoll", results[6], 1);
	check_equal("select", results[7], 1);
	finish();
}
