/*
 * Connections that wait to be accepted, by which something was sent already.
 */
#include "inet.h"

enum { LARGE = 40000 };

static int client(int listener)
{
	int fd = new_inet(own_end(listener).at.any.sa_family, SOCK_STREAM);

	connect_end(fd, own_end(listener));
	return fd;
}

static void check_comes(const char *name, int fd, size_t size, int seed)
{
	ssize_t n = recv(fd, message_bytes, size, MSG_WAITALL);

	check(n == (ssize_t)size && bytes_are(message_bytes, size, seed), name, "%zd bytes, or others (errno %d)", n,
	      errno);
}

/* The next connection, which must be this one's. */
static int next(const char *name, int listener, int one)
{
	struct end from = { .len = sizeof(from.at) };
	int fd = accept(listener, &from.at.any, &from.len);

	if (fd < 0)
		die("accept");
	check(is_end(from, own_end(one)), name, "it is another one");
	return fd;
}

int main(void)
{
	subject_init();
	int four = new_inet(AF_INET, SOCK_STREAM), six = new_inet(AF_INET6, SOCK_STREAM);
	bind_end(four, make_end(AF_INET, "127.0.0.1", 0));
	bind_end(six, make_end(AF_INET6, "::1", 0));
	if (listen(four, 5) || listen(six, 5))
		die("listen");
	int talks = client(four), by_six = client(six);
	send_data(talks, 20, 1);
	send_data(talks, LARGE, 2);
	send_data(by_six, 300, 3);
	ready();
	wait_for_term();

	int fd = next("the one", four, talks);
	check_comes("what was sent", fd, 20, 1);
	check_comes("what was sent after that", fd, LARGE, 2);
	check_empty("no more", fd);
	send_data(talks, 9, 4);
	check_comes("it goes on", fd, 9, 4);
	send_data(fd, 10, 5);
	check_comes("it is answered", talks, 10, 5);
	fd = next("of IPv6", six, by_six);
	check_comes("of IPv6: what was sent", fd, 300, 3);
	send_data(fd, 11, 6);
	check_comes("of IPv6: it is answered", by_six, 11, 6);
	finish();
}
