/*
 * Corners of descriptors: owners of every kind of file (a thread, a group, set by another user) with signals
 * that come after a restore, pipes opened through /proc (for reading and writing, and of one whose reader
 * has gone), single packets, epoll members whose number was closed or taken by another member, and a
 * periodic timer that nobody reads.
 */
#include "files.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define F_GETOWNER_UIDS 17

static volatile pid_t other_tid;
static volatile pid_t signalled_tid;
static volatile int signalled_fd = -1;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	signalled_fd = info->si_fd;
	signalled_tid = syscall(SYS_gettid);
}

static void *other_thread(void *unused)
{
	other_tid = syscall(SYS_gettid);
	for (;;)
		usleep(1000);
	return unused;
}

static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, flags);
	if (again < 0)
		die("%s", path);
	return again;
}

static void own(int fd, int type, pid_t pid)
{
	struct f_owner_ex owner = { type, pid };

	if (fcntl(fd, F_SETOWN_EX, &owner) || fcntl(fd, F_SETSIG, SIGRTMIN + 3) ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC | O_NONBLOCK))
		die("owner");
}

static void check_signal(const char *name, int fd, pid_t tid)
{
	for (int i = 0; i < 2000 && signalled_fd < 0; i++)
		usleep(1000);
	check(signalled_fd == fd && (!tid || signalled_tid == tid), name, "descriptor %d in thread %d",
	      signalled_fd, signalled_tid);
	signalled_fd = -1;
}

static bool told(int epoll, uint64_t data)
{
	struct epoll_event events[8];
	int n = epoll_wait(epoll, events, 8, 0);

	for (int i = 0; i < n; i++)
		if (events[i].data.u64 == data && events[i].events == EPOLLIN)
			return true;
	return false;
}

static void watch(int epoll, int fd, uint64_t data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

int main(void)
{
	int owned[2], grouped[2], foreign[2], both[2], silent[2], packet[2];
	unsigned char data[5000];
	pthread_t thread;

	subject_init();
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	sigaction(SIGRTMIN + 3, &act, NULL);
	if (pthread_create(&thread, NULL, other_thread, NULL))
		die("pthread_create");
	while (!other_tid)
		usleep(1000);
	if (pipe(owned) || pipe(grouped) || pipe(foreign) || pipe(both) || pipe(silent) ||
	    pipe2(packet, O_DIRECT))
		die("pipe");
	own(owned[0], F_OWNER_TID, other_tid);
	own(grouped[0], F_OWNER_PGRP, getpgrp());
	if (setresuid(1234, 1234, 0))
		die("setresuid");
	own(foreign[0], F_OWNER_PID, getpid());
	if (setresuid(0, 0, 0))
		die("setresuid");
	if (mkfifo("fifo", 0600))
		die("mkfifo");
	int fifo = open("fifo", O_RDWR);
	own(fifo, F_OWNER_PID, getpid());

	int two_way = reopen(both[0], O_RDWR);
	close(both[0]);
	close(both[1]);
	if (write(two_way, "two-way", 7) != 7 || write(silent[1], "unread", 6) != 6)
		die("write");
	close(silent[0]);
	fill_bytes(data, 100, 1);
	if (write(packet[1], data, 100) != 100)
		die("write");

	/* 1 and 2 were added under one number, and only 2 has it still; 1 lives on in a duplicate. */
	int epoll = epoll_create1(0);
	int first = eventfd(1, 0), kept = dup(first);
	watch(epoll, first, 1);
	close(first);
	int second = eventfd(0, 0);
	if (second != first)
		die("another number");
	watch(epoll, second, 2);
	/* 3 was closed, and its number is nobody's. */
	int third = eventfd(1, 0), third_kept = fcntl(third, F_DUPFD, 100);
	watch(epoll, third, 3);
	close(third);

	struct itimerspec spec = { .it_interval.tv_nsec = 20000000, .it_value.tv_nsec = 1 };
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	timerfd_settime(timer, 0, &spec, NULL);
	usleep(100000);
	ready();
	wait_for_term();

	check(signalled_fd == -1, "no signal before", "of descriptor %d", signalled_fd);
	if (write(owned[1], "x", 1) != 1)
		die("write");
	check_signal("a thread is signalled", owned[0], other_tid);
	if (write(grouped[1], "x", 1) != 1)
		die("write");
	check_signal("a group is signalled", grouped[0], 0);
	check(write(foreign[1], "x", 1) == 1, "write", "errno %d", errno);
	usleep(20000);
	check_equal("another user's signal is not allowed", signalled_fd, -1);
	uid_t uids[2] = { 0 };
	fcntl(foreign[0], F_GETOWNER_UIDS, uids);
	check(uids[0] == 1234 && uids[1] == 1234, "who set the owner", "%u %u", uids[0], uids[1]);
	check(write(fifo, "x", 1) == 1, "write", "errno %d", errno);
	check_signal("the owner of a fifo is signalled", fifo, 0);

	check_equal("two-way: flags", fcntl(two_way, F_GETFL) & O_ACCMODE, O_RDWR);
	check(read_now(two_way, data, 20) == 7 && !memcmp(data, "two-way", 7), "two-way: data", "other");
	check(write(two_way, "y", 1) == 1 && read(two_way, data, 1) == 1 && *data == 'y', "two-way: works",
	      "errno %d", errno);
	int heard = reopen(silent[1], O_RDONLY);
	check(read_now(heard, data, 20) == 6 && !memcmp(data, "unread", 6), "data without a reader", "other");
	check(read_now(packet[0], data, 10) == 10 && read_now(packet[0], data, 10) == -1,
	      "the rest of a packet is dropped", "it was no packet");

	check(told(epoll, 1) && told(epoll, 3), "members by duplicates", "not told");
	check(!told(epoll, 2), "member that took the number", "told");
	uint64_t value;
	check(read(kept, &value, 8) == 8 && !told(epoll, 1), "the duplicate is the member", "still told");
	check(read(third_kept, &value, 8) == 8 && !told(epoll, 3), "the other too", "still told");
	value = 1;
	check(write(second, &value, 8) == 8 && told(epoll, 2), "its number is another member", "not told");

	check(read(timer, &value, 8) == 8 && value >= 5, "unread timer: expirations", "%lu", value);
	usleep(50000);
	check(read(timer, &value, 8) == 8 && value >= 2, "unread timer: runs on", "%lu", value);
	finish();
}
