/*
 * epoll: level and edge triggered and one-shot members with their data, a member that is ready and
 * one whose edge was taken already, a disarmed one-shot, a dup'ed member, an epoll inside another.
 */
#include "files.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static int add(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("EPOLL_CTL_ADD");
	return fd;
}

/* What epoll_wait() tells of the member with this data at once; 0 for nothing. */
static uint32_t told(int epoll, uint64_t data)
{
	struct epoll_event events[16];
	int n = epoll_wait(epoll, events, 16, 0);

	for (int i = 0; i < n; i++)
		if (events[i].data.u64 == data)
			return events[i].events;
	return 0;
}

int main(void)
{
	struct epoll_event event;
	uint64_t one = 1;
	int ends[2];

	subject_init();
	int level = epoll_create1(EPOLL_CLOEXEC), edge = epoll_create1(0), oneshot = epoll_create1(0);
	int outer = epoll_create1(0), idle = epoll_create1(0);
	if (pipe(ends) || write(ends[1], "x", 1) != 1)
		die("pipe");
	int ready_event = eventfd(1, 0), idle_event = eventfd(0, 0), shot_event = eventfd(1, 0);
	add(level, ends[0], EPOLLIN, 0x1111111122222222);
	add(level, idle_event, EPOLLIN | EPOLLPRI, 0x3333333344444444);
	add(edge, ready_event, EPOLLIN | EPOLLET, 5);
	add(oneshot, shot_event, EPOLLIN | EPOLLONESHOT, 6);
	add(outer, level, EPOLLIN, 7);
	add(idle, idle_event, EPOLLOUT | EPOLLET | EPOLLRDHUP, 8);
	int copy = dup(ends[0]);
	add(level, copy, EPOLLIN, 9);
	/* The edge is taken and the shot fired before the freeze. */
	if (told(edge, 5) != EPOLLIN || told(oneshot, 6) != EPOLLIN || told(idle, 8) != EPOLLOUT)
		die("epoll_wait");
	ready();
	wait_for_term();

	check_equal("close-on-exec", fcntl(level, F_GETFD), FD_CLOEXEC);
	check_equal("level: ready member", told(level, 0x1111111122222222), EPOLLIN);
	check_equal("level: idle member", told(level, 0x3333333344444444), 0);
	check_equal("level: dup'ed member", told(level, 9), EPOLLIN);
	check_equal("one in another", told(outer, 7), EPOLLIN);
	/*
	 * After a restore an edge that was taken may be told once more: adding the member again tells
	 * it. That is harmless (a reader that finds nothing waits on), losing one is not.
	 */
	fact("edge_told_again", "%d", told(edge, 5) != 0);
	if (write(ready_event, &one, 8) != 8)
		die("write");
	check_equal("edge: a new one", told(edge, 5), EPOLLIN);
	check_equal("edge: only once", told(edge, 5), 0);
	check_equal("one-shot: fired already", told(oneshot, 6), 0);
	event = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 66 };
	check(epoll_ctl(oneshot, EPOLL_CTL_MOD, shot_event, &event) == 0, "one-shot: still a member",
	      "errno %d", errno);
	check_equal("one-shot: armed again", told(oneshot, 66), EPOLLIN);
	check_equal("one-shot: fired again", told(oneshot, 66), 0);
	if (write(idle_event, &one, 8) != 8)
		die("write");
	check_equal("level: becomes ready", told(level, 0x3333333344444444), EPOLLIN);
	check(epoll_ctl(level, EPOLL_CTL_ADD, ends[0], &event) == -1 && errno == EEXIST, "a member once",
	      "errno %d", errno);
	check(epoll_ctl(edge, EPOLL_CTL_DEL, ends[0], NULL) == -1 && errno == ENOENT, "no stranger a member",
	      "errno %d", errno);
	finish();
}
