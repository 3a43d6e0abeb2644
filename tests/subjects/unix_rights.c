/*
 * Open files that lie in the queues of unix sockets (SCM_RIGHTS): one alone and several, with and without a descriptor
 * of them left, behind and before other bytes of a stream, from senders that are gone, to a child that will receive
 * them, sockets within each other and within themselves, and files of many kinds.
 */
#include "sockets.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#define MOST 8

union control {
	char space[CMSG_SPACE(MOST * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

/* Sends `size` bytes of `seed` with descriptors, and closes these here if `give`. */
static void send_files(int via, size_t size, int seed, bool give, int count, const int *fds)
{
	union control control = { .space = "" };
	struct iovec io = { message_bytes, size };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.space,
				  .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	fill_bytes(message_bytes, size, seed);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	if (sendmsg(via, &message, MSG_DONTWAIT) != (ssize_t)size)
		die("sendmsg with %d descriptors", count);
	for (int i = 0; give && i < count; i++)
		close(fds[i]);
}

#define SEND(via, size, seed, give, ...)                                                          \
	send_files(via, size, seed, give, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (int[]){ __VA_ARGS__ })

/* Receives up to `room` bytes, which must be `size` of `seed`, with exactly `count` descriptors. */
static void receive(const char *name, int via, size_t room, size_t size, int seed, int count, int *fds)
{
	union control control;
	struct iovec io = { message_bytes, room };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.space,
				  .msg_controllen = sizeof(control.space) };
	ssize_t n = recvmsg(via, &message, MSG_DONTWAIT);
	int got = 0;

	for (int i = 0; i < count; i++)
		fds[i] = -1;
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), (got < count ? got : count) * sizeof(int));
	}
	check(n == (ssize_t)size && bytes_are(message_bytes, size, seed) && got == count, name,
	      "%zd bytes (errno %d) with %d descriptors instead of %zu with %d", n, n < 0 ? errno : 0, got, size, count);
}

/* What is written to one end of a pipe comes out of the other. */
static void check_pipe(const char *name, int from, int to)
{
	char byte = 0;

	check(write(to, "p", 1) == 1 && read(from, &byte, 1) == 1 && byte == 'p', name, "errno %d", errno);
}

int main(void)
{
	int fds[MOST], piped[2], told[2];

	subject_init();
	/* A pipe of which one end is in a message, and one of which nobody has either. */
	struct ends plain = make_pair(SOCK_DGRAM), widow = make_pair(SOCK_SEQPACKET);
	if (pipe(piped))
		die("pipe");
	int kept = piped[1];
	SEND(plain.a, 5, 1, true, piped[0]);
	send_data(plain.a, 0, 0);
	if (pipe(piped))
		die("pipe");
	if (write(piped[1], "left", 4) != 4)
		die("write");
	SEND(widow.a, 6, 2, true, piped[0], piped[1]);
	SEND(widow.a, 0, 0, false, kept);
	close(widow.a);

	/* Of a stream the descriptors come with the first byte of what they were sent with, and no sooner. */
	struct ends stream = make_pair(SOCK_STREAM);
	int shared = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (shared < 0 || write(shared, "0123456789", 10) != 10 || lseek(shared, 4, SEEK_SET) != 4)
		die("a file");
	send_data(stream.a, 30, 3);
	SEND(stream.a, 7, 4, false, shared);
	SEND(stream.a, 1, 5, false, shared, stream.b);
	send_data(stream.a, 40, 6);

	/* Files of many kinds, and one that was deleted. */
	struct ends kinds = make_pair(SOCK_SEQPACKET);
	int gone = open("gone", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (gone < 0 || write(gone, "deleted", 7) != 7 || unlink("gone"))
		die("a deleted file");
	int counter = eventfd(77, EFD_NONBLOCK), timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec far = { .it_value = { 100000, 0 } };
	timerfd_settime(timer, 0, &far, NULL);
	int memory = memfd_create("in flight", 0);
	if (ftruncate(memory, 4096) || pwrite(memory, "memory", 6, 0) != 6)
		die("a memfd");
	int instance = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x1234 };
	if (epoll_ctl(instance, EPOLL_CTL_ADD, kinds.b, &event))
		die("EPOLL_CTL_ADD");
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t any_size = sizeof(any);
	int door = socket(AF_INET, SOCK_STREAM, 0), caller = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(door, (struct sockaddr *)&any, any_size) || listen(door, 1) ||
	    getsockname(door, (struct sockaddr *)&any, &any_size) || connect(caller, (struct sockaddr *)&any, any_size))
		die("a connection");
	int called = accept_from(door);
	close(door);
	send_data(caller, 15, 24);
	SEND(kinds.a, 8, 7, true, gone, counter, timer, memory, instance, called);

	/* Sockets within sockets: each end of one pair in its own and the other's queue, with nothing left outside; a
	 * server with somebody who waits; and one that holds what holds what was sent. */
	struct ends ring = make_pair(SOCK_DGRAM), carrier = make_pair(SOCK_STREAM);
	struct ends outer = make_pair(SOCK_SEQPACKET), inner = make_pair(SOCK_STREAM);
	struct name server = make_name("@in-flight"), own = make_name("@known");
	int listener = new_socket(SOCK_STREAM), client = new_socket(SOCK_STREAM);
	bind_to(listener, &server);
	if (listen(listener, 3))
		die("listen");
	connect_to(client, &server);
	SEND(ring.a, 1, 8, false, ring.a);
	SEND(ring.b, 2, 9, false, ring.b);
	SEND(carrier.a, 3, 10, true, ring.a, ring.b, listener);
	if (pipe(piped))
		die("pipe");
	int deep = piped[1];
	send_data(inner.a, 20, 11);
	SEND(inner.a, 4, 12, true, piped[0]);
	SEND(outer.a, 5, 13, true, inner.b, outer.a);

	/* From one with a name, to one that asks who it was. */
	int named = new_socket(SOCK_DGRAM), known = new_socket(SOCK_DGRAM);
	struct name at = make_name("named");
	bind_to(named, &at);
	bind_to(known, &own);
	connect_to(known, &at);
	set_option(named, SO_PASSCRED, 1);
	send_data(known, 9, 14);
	SEND(known, 10, 15, false, shared);

	/* For a child, which has nothing of it yet. */
	struct ends between = make_pair(SOCK_STREAM);
	if (pipe(told) || pipe(piped))
		die("pipe");
	pid_t child = fork_child();
	if (child == 0) {
		close(between.a);
		close(piped[0]);
		close(piped[1]);
		child_is_ready(told);
		wait_for_term();
		receive("child: from the parent", between.b, 100, 3, 16, 2, fds);
		check_pipe("child: pipe", fds[0], fds[1]);
		child_finish();
	}
	wait_for_child(told);
	SEND(between.a, 3, 16, true, piped[0], piped[1]);
	ready();
	wait_for_term();

	receive("one end of a pipe", plain.b, 100, 5, 1, 1, fds);
	check_pipe("one end of a pipe", fds[0], kept);
	receive("empty message behind it", plain.b, 100, 0, 0, 0, NULL);
	receive("both ends of a pipe", widow.b, 100, 6, 2, 2, fds);
	char bytes[16] = "";
	check(read(fds[0], bytes, 4) == 4 && !memcmp(bytes, "left", 4), "what was left in it", "%s", bytes);
	check_pipe("both ends of a pipe", fds[0], fds[1]);
	receive("nothing with a pipe, at the end", widow.b, 100, 0, 0, 1, fds);
	check_equal("sender is gone", recv(widow.b, bytes, 1, MSG_DONTWAIT), 0);

	receive("stream: before", stream.b, 30, 30, 3, 0, NULL);
	receive("stream: with a file", stream.b, 100, 7, 4, 1, fds);
	check_equal("same open file", lseek(fds[0], 0, SEEK_CUR), 4);
	lseek(shared, 6, SEEK_SET);
	check_equal("same open file, moved", lseek(fds[0], 0, SEEK_CUR), 6);
	receive("stream: with itself", stream.b, 100, 1, 5, 2, fds);
	receive("stream: behind, through itself", fds[1], 100, 40, 6, 0, NULL);

	receive("many kinds", kinds.b, 100, 8, 7, 6, fds);
	check_received("TCP: what was sent", fds[5], 15, 24);
	send_data(fds[5], 16, 25);
	struct pollfd answer = { caller, POLLIN, 0 };
	poll(&answer, 1, 10000);
	check_received("TCP: answer", caller, 16, 25);
	memset(bytes, 0, sizeof(bytes));
	check(pread(fds[0], bytes, 15, 0) == 7 && !strcmp(bytes, "deleted"), "deleted file", "%s", bytes);
	uint64_t count = 0;
	check(read(fds[1], &count, 8) == 8 && count == 77, "eventfd", "%llu", (unsigned long long)count);
	struct itimerspec left = { 0 };
	timerfd_gettime(fds[2], &left);
	check(left.it_value.tv_sec > 90000, "timerfd", "%ld s", (long)left.it_value.tv_sec);
	check(pread(fds[3], bytes, 6, 0) == 6 && !memcmp(bytes, "memory", 6), "memfd", "%s", bytes);
	check_equal("epoll: nothing yet", epoll_wait(fds[4], &event, 1, 0), 0);
	send_data(kinds.a, 1, 20);
	event.data.u64 = 0;
	check(epoll_wait(fds[4], &event, 1, 0) == 1 && event.data.u64 == 0x1234, "epoll", "errno %d", errno);

	receive("carrier", carrier.b, 100, 3, 10, 3, fds);
	int accepted = accept4(fds[2], NULL, NULL, SOCK_NONBLOCK);
	check(accepted >= 0, "accept from a listener that was in flight", "errno %d", errno);
	send_data(client, 12, 21);
	check_received("what it accepted", accepted, 12, 21);
	receive("ring: to b", fds[1], 100, 1, 8, 1, &fds[3]);
	receive("ring: to a", fds[3], 100, 2, 9, 1, &fds[4]);
	send_data(fds[0], 13, 22);
	check_received("ring: from a to b", fds[4], 13, 22);
	receive("outer", outer.b, 100, 5, 13, 2, fds);
	receive("inner: before", fds[0], 20, 20, 11, 0, NULL);
	receive("inner: with a pipe", fds[0], 100, 4, 12, 1, &fds[2]);
	check_pipe("inner: pipe", fds[2], deep);
	send_data(fds[1], 14, 23);
	check_received("outer: from its other end", outer.b, 14, 23);

	check_from("named: before", named, 9, 14, &own);
	receive("named: with a file", named, 100, 10, 15, 1, fds);
	check_equal("named: same open file", lseek(fds[0], 0, SEEK_CUR), 6);
	end_child("child", child);
	finish();
}
