/*
 * epoll entries of files that the task which waits has no descriptor of any more: a child has them, under other numbers,
 * or they lie in flight, as one instance itself does. The number of one is another member's by now. They are told of as
 * before, and are gone when the last descriptor is closed.
 */
#include "files.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static void add(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("EPOLL_CTL_ADD");
}

/* The sum of the data of all that is ready now; the data are powers of ten. */
static uint64_t told(int epoll)
{
	struct epoll_event events[16];
	uint64_t sum = 0;
	int n = epoll_wait(epoll, events, 16, 0);

	for (int i = 0; i < n; i++)
		sum += events[i].data.u64;
	return sum;
}

/* Sends a descriptor, or receives one: the number it has then. */
static int pass(int socket, int fd)
{
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = {};
	struct iovec part = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	if (fd < 0) {
		if (recvmsg(socket, &message, MSG_DONTWAIT) != 1 || !(head = CMSG_FIRSTHDR(&message)))
			return -1;
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
		return fd;
	}
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(socket, &message, 0) == 1 ? 0 : -1;
}

static void put(int fd)
{
	if (write(fd, "x", 1) != 1)
		die("write");
}

int main(void)
{
	int quiet[2], full[2], fired[2], orders[2], queue[2];
	uint64_t one = 1;
	char byte;

	subject_init();
	int epoll = epoll_create1(EPOLL_CLOEXEC), away = epoll_create1(0);
	if (pipe(quiet) || pipe(full) || pipe(fired) || socketpair(AF_UNIX, SOCK_STREAM, 0, orders) ||
	    socketpair(AF_UNIX, SOCK_DGRAM, 0, queue))
		die("pipe");
	add(epoll, quiet[0], EPOLLIN, 1);
	add(epoll, full[0], EPOLLIN, 10);
	add(epoll, fired[0], EPOLLIN | EPOLLONESHOT, 100);
	add(away, full[0], EPOLLIN, 1);
	put(full[1]);
	put(fired[1]);
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		signal(SIGTERM, SIG_IGN);
		close(epoll);
		close(away);
		close(orders[0]);
		close(quiet[1]);
		int moved = fcntl(quiet[0], F_DUPFD, 100);
		close(quiet[0]);
		/* One order: to close what nobody else has. */
		if (moved < 0 || read(orders[1], &byte, 1) != 1 || close(moved) || close(full[0]) ||
		    close(fired[0]) || write(orders[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(orders[1]);
	close(quiet[0]);
	close(full[0]);
	close(fired[0]);
	int sent = eventfd(0, 0);
	add(epoll, sent, EPOLLIN, 1000);
	add(away, sent, EPOLLIN, 10);
	if (pass(queue[0], sent) || pass(queue[0], away))
		die("sendmsg");
	close(sent);
	close(away);
	/* It gets a number that was used above. */
	int other = eventfd(0, 0);
	add(epoll, other, EPOLLIN, 10000);
	if (told(epoll) != 110)
		die("epoll_wait");
	ready();
	wait_for_term();

	check(fcntl(quiet[0], F_GETFD) < 0 || other == quiet[0], "no descriptor of the child's", "%d",
	      quiet[0]);
	check_equal("ready in the child, and a one-shot that has fired", told(epoll), 10);
	put(quiet[1]);
	check_equal("becomes ready in the child", told(epoll), 11);
	if (write(other, &one, 8) != 8)
		die("write");
	check_equal("of the task itself", told(epoll), 10011);
	check_equal("where each was, errno", epoll_ctl(epoll, EPOLL_CTL_DEL, other, NULL) ? errno : 0, 0);
	put(orders[0]);
	check_equal("the child's answer", read(orders[0], &byte, 1), 1);
	check_equal("gone with the child's descriptors", told(epoll), 0);
	int received = pass(queue[1], -1);
	check(received >= 0 && write(received, &one, 8) == 8, "comes out of the queue", "errno %d", errno);
	check_equal("was in flight", told(epoll), 1000);
	away = pass(queue[1], -1);
	check_equal("was in flight, as the instance was", told(away), 10);
	close(received);
	check_equal("gone with its descriptor", told(epoll), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	finish();
}
