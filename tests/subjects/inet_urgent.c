/*
 * Urgent data (MSG_OOB) in TCP connections: what waits of it, and its mark, at which a reader stops.
 */
#include "inet.h"

#include <linux/sockios.h>

struct urgent {
	const char *name;
	int family;
	/* What comes before it and behind it. */
	size_t before, behind;
	/* Whether it is taken already, stays in line, and whether the other end's end of data has come. */
	bool is_taken, in_line, is_ended;
	int here, there;
};

static struct urgent cases[] = {
	{ .name = "it waits", .family = AF_INET, .before = 3, .behind = 30000 },
	{ .name = "it waits, at the begin", .family = AF_INET, .behind = 5, .is_ended = true },
	{ .name = "it waits, at the end", .family = AF_INET, .before = 70000 },
	{ .name = "it is taken", .family = AF_INET, .before = 3, .behind = 300, .is_taken = true },
	{ .name = "it is taken, at the end", .family = AF_INET, .before = 3, .is_taken = true },
	{ .name = "it is taken, with an end", .family = AF_INET, .behind = 3, .is_taken = true, .is_ended = true },
	{ .name = "in line", .family = AF_INET, .before = 3, .behind = 300, .in_line = true },
	{ .name = "of IPv6", .family = AF_INET6, .before = 4, .behind = 4 },
};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static void send_urgent(int fd, char byte)
{
	if (send(fd, &byte, 1, MSG_OOB) != 1)
		die("MSG_OOB");
}

static void check_urgent(const char *name, int fd, char want)
{
	char byte = 0;
	ssize_t n = recv(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT);

	if (want == 0)
		check(n == -1 && errno == EINVAL, name, "there is urgent data: %zd (errno %d)", n, errno);
	else
		check(n == 1 && byte == want, name, "urgent data: %zd, %d (errno %d)", n, byte, errno);
}

static void check_mark(const char *name, int fd, int want)
{
	int is_at = -1;

	if (ioctl(fd, SIOCATMARK, &is_at))
		die("SIOCATMARK");
	check_equal(name, is_at, want);
}

/* More than this does not come: a reader stops at the mark. */
static void check_comes(const char *name, int fd, size_t size, int seed)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = recv(fd, message_bytes + got, sizeof(message_bytes) - got, 0);
		if (n <= 0)
			break;
		got += n;
	}
	check(got == size && bytes_are(message_bytes, size, seed), name, "%zu bytes instead of %zu, or others (errno %d)", got,
	      size, errno);
}

static void wait_for(int fd, int events)
{
	struct pollfd poll_it = { .fd = fd, .events = events };

	if (poll(&poll_it, 1, 10000) != 1)
		die("nothing comes");
}

static void make(struct urgent *one)
{
	int listener = new_inet(one->family, SOCK_STREAM), left = 1;

	bind_end(listener, make_end(one->family, one->family == AF_INET ? "127.0.0.1" : "::1", 0));
	if (listen(listener, 1))
		die("listen");
	one->there = new_inet(one->family, SOCK_STREAM);
	connect_end(one->there, own_end(listener));
	one->here = accept(listener, NULL, NULL);
	if (one->here < 0)
		die("accept");
	close(listener);
	set_inet_option(one->here, SOL_SOCKET, SO_OOBINLINE, one->in_line);
	if (one->before > 0)
		send_data(one->there, one->before, 1);
	send_urgent(one->there, 'X');
	if (one->behind > 0)
		send_data(one->there, one->behind, 2);
	if (one->is_ended && shutdown(one->there, SHUT_WR))
		die("shutdown");
	wait_for(one->here, POLLPRI);
	if (one->is_ended)
		wait_for(one->here, POLLRDHUP);
	/* All has come by then. */
	while (!one->is_ended && ioctl(one->there, SIOCOUTQ, &left) == 0 && left > 0)
		usleep(1000);
	if (one->is_taken)
		check_urgent(one->name, one->here, 'X');
}

static void check_case(struct urgent *one)
{
	const char *name = one->name;
	int fd = one->here;
	char byte = 0;

	check_equal(name, inet_option(fd, SOL_SOCKET, SO_OOBINLINE), one->in_line);
	check_comes(name, fd, one->before, 1);
	check_mark(name, fd, 1);
	if (one->in_line)
		check(recv(fd, &byte, 1, MSG_DONTWAIT) == 1 && byte == 'X', name, "in line: %d", byte);
	else
		check_urgent(name, fd, one->is_taken ? 0 : 'X');
	check_comes(name, fd, one->behind, 2);
	if (one->behind > 0)
		check_mark(name, fd, 0);
	if (one->is_ended) {
		check(recv(fd, &byte, 1, 0) == 0, name, "there is more");
	} else {
		check_empty(name, fd);
		/* It goes on, and so does urgent data. */
		send_data(one->there, 10, 3);
		check_comes("it goes on", fd, 10, 3);
		send_urgent(one->there, 'Y');
		wait_for(fd, POLLPRI);
		if (!one->in_line)
			check_urgent("another one", fd, 'Y');
	}
	send_data(fd, 9, 4);
	check_comes("the other direction", one->there, 9, 4);
}

enum { MUCH = 60000 };

/* It is written, and has no room at the other end: @returns how much of it was not sent yet. */
static int make_unsent(int ends[2])
{
	int listener = new_inet(AF_INET, SOCK_STREAM), left = 0;

	set_inet_option(listener, SOL_SOCKET, SO_RCVBUF, 4096);
	bind_end(listener, make_end(AF_INET, "127.0.0.1", 0));
	if (listen(listener, 1))
		die("listen");
	ends[0] = new_inet(AF_INET, SOCK_STREAM);
	set_inet_option(ends[0], SOL_SOCKET, SO_SNDBUF, 200000);
	connect_end(ends[0], own_end(listener));
	ends[1] = accept(listener, NULL, NULL);
	if (ends[1] < 0)
		die("accept");
	close(listener);
	send_data(ends[0], MUCH, 5);
	send_urgent(ends[0], 'Z');
	send_data(ends[0], 6, 6);
	if (ioctl(ends[0], SIOCOUTQ, &left))
		die("SIOCOUTQ");
	return left;
}

static void check_unsent(int fd)
{
	check_comes("not sent yet: before it", fd, MUCH, 5);
	wait_for(fd, POLLPRI);
	check_mark("not sent yet", fd, 1);
	check_urgent("not sent yet", fd, 'Z');
	check_comes("not sent yet: behind it", fd, 6, 6);
}

int main(void)
{
	int unsent[2];

	subject_init();
	for (int i = 0; i < CASES; i++)
		make(&cases[i]);
	check(make_unsent(unsent) > 7, "not sent yet", "all is sent");
	ready();
	wait_for_term();
	for (int i = 0; i < CASES; i++)
		check_case(&cases[i]);
	check_unsent(unsent[1]);
	finish();
}
