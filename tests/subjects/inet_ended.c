/*
 * TCP connections that were reset, refused or given up, and whose program has not been told of that yet: with what was
 * received before, in both families.
 */
#include "inet.h"

#include <linux/filter.h>

enum { DATA = 3000 };

static int listener(int family, const char *address)
{
	int fd = new_inet(family, SOCK_STREAM);

	bind_end(fd, make_end(family, address, 0));
	if (listen(fd, 8))
		die("listen");
	return fd;
}

static void wait_for(int fd, int events)
{
	struct pollfd poll_it = { .fd = fd, .events = events };

	if (poll(&poll_it, 1, 30000) != 1 || (poll_it.revents & events) != events)
		die("poll gives %x, not %x", poll_it.revents, events);
}

static void reset(int fd)
{
	struct linger now = { 1, 0 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) || close(fd))
		die("reset");
}

/* A connection with some bytes, and perhaps the end, which is then reset. */
static int reset_one(int server, size_t size, int seed, bool with_end)
{
	int fd = new_inet(own_end(server).at.any.sa_family, SOCK_STREAM);

	connect_end(fd, own_end(server));
	int other = accept(server, NULL, NULL);
	if (other < 0)
		die("accept");
	if (size > 0)
		send_data(other, size, seed);
	if (with_end) {
		if (shutdown(other, SHUT_WR))
			die("shutdown");
		wait_for(fd, POLLRDHUP);
	} else if (size > 0) {
		for (int waiting = 0; waiting < (int)size;)
			if (ioctl(fd, FIONREAD, &waiting))
				die("FIONREAD");
	}
	reset(other);
	wait_for(fd, POLLERR);
	return fd;
}

static void check_bytes(const char *name, int fd, size_t size, int seed)
{
	ssize_t n = recv(fd, message_bytes, size, MSG_DONTWAIT | MSG_WAITALL);

	check(n == (ssize_t)size && bytes_are(message_bytes, size, seed), name, "%zd bytes, or others, errno %d", n,
	      errno);
}

/* What a call gives: a number, or an errno below zero. */
static void check_recv(const char *name, int fd, ssize_t want)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	check_equal(name, n < 0 ? -errno : n, want);
}

static void check_send(const char *name, int fd, ssize_t want)
{
	ssize_t n = send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);

	check_equal(name, n < 0 ? -errno : n, want);
}

static void check_revents(const char *name, int fd, int want)
{
	struct pollfd poll_it = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };

	poll(&poll_it, 1, 0);
	check_equal(name, poll_it.revents, want);
}

int main(void)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { 1, &nothing };
	struct end none = { 0 };
	const int over = POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP;

	subject_init();
	int server = listener(AF_INET, "127.0.0.1"), server_six = listener(AF_INET6, "::1");
	int server_any = listener(AF_INET, "127.0.0.1");
	int reads = reset_one(server, DATA, 1, false), writes = reset_one(server, 0, 0, false);
	int six = reset_one(server_six, DATA, 2, false), ended = reset_one(server, DATA, 3, true);
	int known = reset_one(server, DATA, 4, false), asks = reset_one(server, 0, 0, false);
	check_equal("SO_ERROR is told", inet_option(known, SOL_SOCKET, SO_ERROR), ECONNRESET);

	/* One that asked where nobody listens. */
	int refused = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), deaf = new_inet(AF_INET, SOCK_STREAM);
	bind_end(deaf, make_end(AF_INET, "127.0.0.1", 0));
	struct end nobody = own_end(deaf);
	if (connect(refused, &nobody.at.any, nobody.len) != -1 || errno != EINPROGRESS)
		die("connect");
	wait_for(refused, POLLERR);

	/* One whose other end hears nothing any more. */
	int late = new_inet(AF_INET, SOCK_STREAM);
	connect_end(late, own_end(server_any));
	int silent = accept(server_any, NULL, NULL);
	send_data(silent, 10, 5);
	wait_for(late, POLLIN);
	if (setsockopt(silent, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		die("SO_ATTACH_FILTER");
	set_inet_option(late, IPPROTO_TCP, TCP_USER_TIMEOUT, 50);
	send_data(late, 10, 6);
	wait_for(late, POLLERR);
	reset(silent);

	struct end end_reads = own_end(reads), end_six = own_end(six), end_late = own_end(late);
	ready();
	wait_for_term();

	check_ends("reset", reads, end_reads, none);
	check_ends("of IPv6", six, end_six, none);
	check_ends("given up", late, end_late, none);
	check_revents("reset: poll", reads, over);
	check_bytes("reset: what was received", reads, DATA, 1);
	check_recv("reset: the error", reads, -ECONNRESET);
	check_recv("reset: the end", reads, 0);
	check_send("reset: writing at last", reads, -EPIPE);
	check_send("reset: writing", writes, -ECONNRESET);
	check_send("reset: writing again", writes, -EPIPE);
	check_recv("reset: reading at last", writes, 0);
	check_bytes("of IPv6: what was received", six, DATA, 2);
	check_recv("of IPv6: the error", six, -ECONNRESET);
	check_revents("ended: poll", ended, over);
	check_bytes("ended: what was received", ended, DATA, 3);
	check_recv("ended: the end", ended, 0);
	check_equal("ended: SO_ERROR", inet_option(ended, SOL_SOCKET, SO_ERROR), EPIPE);
	check_equal("ended: SO_ERROR again", inet_option(ended, SOL_SOCKET, SO_ERROR), 0);
	check_revents("known: poll", known, over & ~POLLERR);
	check_bytes("known: what was received", known, DATA, 4);
	check_recv("known: the end", known, 0);
	check_equal("asked: SO_ERROR", inet_option(asks, SOL_SOCKET, SO_ERROR), ECONNRESET);
	check_recv("asked: the end", asks, 0);
	check_equal("refused: SO_ERROR", inet_option(refused, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	check_equal("refused: SO_ERROR again", inet_option(refused, SOL_SOCKET, SO_ERROR), 0);
	check_bytes("given up: what was received", late, 10, 5);
	check_recv("given up: the error", late, -ETIMEDOUT);
	check_recv("given up: the end", late, 0);
	check_equal("given up: TCP_USER_TIMEOUT", inet_option(late, IPPROTO_TCP, TCP_USER_TIMEOUT), 50);
	finish();
}
