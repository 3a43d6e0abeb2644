/*
 * epoll entries whose numbers are closed or another file's by now: two entries of one file, one of a number that is
 * closed, one of a number that another member has, one-shots that have fired. They are told of as before, and
 * can be changed and taken out under the numbers that they were added with, and no others.
 * Usage: epoll_numbers [N], with N members more whose numbers are closed
 */
#include "files.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

static int epoll;

static void add(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("EPOLL_CTL_ADD");
}

static int change(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) ? errno : 0;
}

/* The sum of the data of all that is ready now; the data are powers of ten. */
static uint64_t told(void)
{
	struct epoll_event events[16];
	uint64_t sum = 0;
	int n = epoll_wait(epoll, events, 16, 0);

	for (int i = 0; i < n; i++)
		sum += events[i].data.u64;
	return sum;
}

/* Makes an eventfd ready, or not. */
static void set_ready(int fd, bool ready)
{
	uint64_t value = 1;

	if ((ready ? write(fd, &value, 8) : read(fd, &value, 8)) != 8)
		die("eventfd");
}

/* A new eventfd under the lowest free number, and a duplicate of it. */
static int event_with_copy(int *copy)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	*copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	if (fd < 0 || *copy < 0)
		die("eventfd");
	return fd;
}

int main(int argc, char **argv)
{
	int many = atoi(arg(argc, argv, 1, "0")), twice_copy, closed_copy, reused_copy, shot_copy;

	subject_init();
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	epoll = epoll_create1(0);
	int *copies = calloc(many + 1, sizeof(int));
	for (int i = 0; i < many; i++) {
		int fd = eventfd(0, EFD_NONBLOCK);
		copies[i] = fcntl(fd, F_DUPFD, 200 + many);
		if (copies[i] < 0)
			die("F_DUPFD");
		add(fd, EPOLLIN, 10000000);
	}
	for (int i = 0; i < many; i++)
		close(epoll + 1 + i);
	int twice = event_with_copy(&twice_copy);
	int closed = event_with_copy(&closed_copy);
	int shot = event_with_copy(&shot_copy);
	int reused = event_with_copy(&reused_copy);
	add(twice, EPOLLIN, 1);
	add(twice_copy, EPOLLIN, 10);
	add(closed, EPOLLIN, 100);
	add(reused, EPOLLIN, 1000);
	add(shot, EPOLLIN | EPOLLONESHOT, 100000);
	set_ready(shot_copy, true);
	if (told() != 100000)
		die("the one-shot");
	close(twice);
	close(closed);
	close(shot);
	/* Its number becomes that of another member. */
	int other = eventfd(0, EFD_NONBLOCK);
	if (dup3(other, reused, O_CLOEXEC) != reused)
		die("dup3");
	close(other);
	add(reused, EPOLLIN, 10000);
	ready();
	wait_for_term();

	check_equal("nothing is ready", told(), 0);
	set_ready(twice_copy, true);
	check_equal("a file that is there twice", told(), 11);
	set_ready(twice_copy, false);
	set_ready(closed_copy, true);
	check_equal("a file whose number is closed", told(), 100);
	check_equal("it is no member under its other number", change(closed_copy, EPOLLIN, 1), ENOENT);
	check_equal("the number is still closed", fcntl(closed, F_GETFD), -1);
	dup2(closed_copy, closed);
	check_equal("it can be changed under its own", change(closed, EPOLLIN, 200), 0);
	check_equal("it was changed", told(), 200);
	check_equal("it can be taken out", epoll_ctl(epoll, EPOLL_CTL_DEL, closed, NULL), 0);
	check_equal("it was taken out", told(), 0);
	set_ready(reused_copy, true);
	check_equal("a file whose number is another one's", told(), 1000);
	set_ready(reused_copy, false);
	check_equal("close-on-exec of that number", fcntl(reused, F_GETFD), FD_CLOEXEC);
	set_ready(reused, true);
	check_equal("the one that has its number", told(), 10000);
	set_ready(reused, false);
	check_equal("a one-shot is no member under its other number", change(shot_copy, EPOLLIN, 1), ENOENT);
	dup2(shot_copy, shot);
	check_equal("it can be armed again", change(shot, EPOLLIN | EPOLLONESHOT, 300000), 0);
	check_equal("it fires", told(), 300000);
	check_equal("it fires once", told(), 0);
	for (int i = 0; i < many; i += 1 + many / 10) {
		set_ready(copies[i], true);
		check_equal("one of many", told(), 10000000);
		set_ready(copies[i], false);
	}
	finish();
}
