/*
 * TCP connections with both ends in the tree, of IPv4, IPv6 and IPv4 over IPv6: with what waits in them, full in both
 * directions, in every state of closing, with options; the two ends in one process and in two.
 */
#include "inet.h"

#include <sys/ioctl.h>

/* A connection. */
static struct ends join(int listener, int family, struct end to)
{
	struct ends pair = { .a = new_inet(family, SOCK_STREAM) };

	connect_end(pair.a, to);
	pair.b = accept_from(listener);
	return pair;
}

static int listening(int family, const char *address)
{
	int fd = new_inet(family, SOCK_STREAM);

	bind_end(fd, make_end(family, address, 0));
	if (listen(fd, 16))
		die("listen");
	return fd;
}

static void shut(int fd, int how)
{
	if (shutdown(fd, how))
		die("shutdown");
}

static int state_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? -errno : info.tcpi_state;
}

static void check_state(const char *name, int fd, int want)
{
	/* The kernel takes its time to acknowledge. */
	for (int i = 0; i < 500 && state_of(fd) != want; i++)
		sleep_ms(10);
	check_equal(name, state_of(fd), want);
}

/* Waits for bytes, which may be on their way. */
static void check_comes(const char *name, int fd, size_t size, int seed)
{
	size_t got = 0;

	while (got < size) {
		struct pollfd poll_it = { .fd = fd, .events = POLLIN };
		if (poll(&poll_it, 1, 10000) != 1)
			break;
		ssize_t n = recv(fd, message_bytes + got, size - got, MSG_DONTWAIT);
		if (n <= 0)
			break;
		got += n;
	}
	check(got == size && bytes_are(message_bytes, size, seed), name, "%zu bytes instead of %zu, or others", got, size);
}

static void check_end(const char *name, int fd)
{
	char byte;
	struct pollfd poll_it = { .fd = fd, .events = POLLIN };
	int ready = poll(&poll_it, 1, 10000);
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	check(ready == 1 && n == 0, name, "recv gives %zd, errno %d", n, errno);
}

static void check_talks(const char *name, struct ends pair)
{
	send_data(pair.a, 1000, 90);
	check_comes(name, pair.b, 1000, 90);
	send_data(pair.b, 2000, 91);
	check_comes(name, pair.a, 2000, 91);
}

/* Fills a connection. @returns how many bytes */
static size_t fill(int fd, unsigned char first)
{
	static unsigned char bytes[4096];
	size_t sent = 0;

	for (;;) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = first + (sent + i) % 251;
		ssize_t n = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n < 0)
			return sent;
		sent += n;
	}
}

static void check_filled(const char *name, int fd, size_t size, unsigned char first)
{
	static unsigned char bytes[4096];
	size_t got = 0, wrong = 0;

	while (got < size) {
		struct pollfd poll_it = { .fd = fd, .events = POLLIN };
		if (poll(&poll_it, 1, 20000) != 1)
			break;
		ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			wrong += bytes[i] != (unsigned char)(first + (got + i) % 251);
		got += n;
	}
	check(got == size && wrong == 0, name, "%zu bytes instead of %zu, %zu wrong", got, size, wrong);
	check_empty(name, fd);
}

/* Gives a socket the key for an address (TCP_MD5SIG). @returns whether the kernel has that */
static bool add_key(int fd, struct end peer)
{
	struct tcp_md5sig key = { .tcpm_keylen = 6, .tcpm_key = "secret" };

	memcpy(&key.tcpm_addr, &peer.at, peer.len);
	if (!setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)))
		return true;
	if (errno != ENOPROTOOPT)
		die("TCP_MD5SIG");
	return false;
}

/* Connects with the key and without one. @returns whether the second is served */
static int connect_with_key(const char *name, int listener)
{
	struct end to = own_end(listener);
	struct ends pair = { .a = new_inet(AF_INET, SOCK_STREAM | SOCK_NONBLOCK) };
	int other = new_inet(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);

	add_key(pair.a, to);
	connect(pair.a, &to.at.any, to.len);
	struct pollfd comes = { .fd = listener, .events = POLLIN };
	check_equal(name, poll(&comes, 1, 10000), 1);
	pair.b = accept_from(listener);
	check_talks(name, pair);
	connect(other, &to.at.any, to.len);
	comes.revents = 0;
	int served = poll(&comes, 1, 100);
	close(other);
	return served;
}

/* What both ends have agreed on: timestamps, SACK, and the scales of their windows; and where time is by the first. */
struct agreed {
	struct tcp_info info;
	unsigned int time;
};

static struct agreed agreed(int fd)
{
	struct agreed found = { 0 };
	socklen_t len = sizeof(found.info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &found.info, &len))
		die("TCP_INFO");
	len = sizeof(found.time);
	if (getsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &found.time, &len))
		die("TCP_TIMESTAMP");
	return found;
}

static void check_agreed(const char *name, int fd, struct agreed before)
{
	int known = TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE;
	struct agreed now = agreed(fd);

	check((now.info.tcpi_options & known) == (before.info.tcpi_options & known) &&
		      now.info.tcpi_snd_wscale == before.info.tcpi_snd_wscale &&
		      now.info.tcpi_rcv_wscale == before.info.tcpi_rcv_wscale, name, "options %#x instead of %#x",
	      now.info.tcpi_options, before.info.tcpi_options);
	/* It does not go back, and neither do they come to differ by an hour. */
	unsigned int passed = now.time - before.time;
	check(!(before.info.tcpi_options & TCPI_OPT_TIMESTAMPS) || passed < 3600000, name, "timestamps go from %u to %u",
	      before.time, now.time);
}

static void settle(int fd, int want)
{
	for (int i = 0; i < 500 && state_of(fd) != want; i++)
		sleep_ms(10);
	if (state_of(fd) != want)
		die("state %d instead of %d", state_of(fd), want);
}

int main(void)
{
	subject_init();
	int four = listening(AF_INET, "127.0.0.1"), six = listening(AF_INET6, "::1"), both = listening(AF_INET6, "::");
	struct end to_four = own_end(four), to_six = own_end(six);
	struct end to_both = make_end(AF_INET, "127.0.0.1", ntohs(own_end(both).at.six.sin6_port));

	/* Between two processes. */
	struct ends between = join(four, AF_INET, to_four);
	int told[2];
	if (pipe(told))
		die("pipe");
	pid_t child = fork_child();
	if (child == 0) {
		close(between.a);
		child_is_ready(told);
		wait_for_term();
		check_comes("child: what was sent", between.b, 150, 8);
		send_data(between.b, 160, 9);
		check_end("child: the end", between.b);
		child_finish();
	}
	close(between.b);
	wait_for_child(told);

	struct ends idle = join(four, AF_INET, to_four), over_six = join(six, AF_INET6, to_six);
	struct ends mapped = join(both, AF_INET, to_both), waits = join(four, AF_INET, to_four);
	send_data(waits.a, 5000, 1);
	send_data(waits.b, 100, 2);
	struct ends full = join(four, AF_INET, to_four);
	set_option(full.a, SO_SNDBUF, 50000);
	size_t there = fill(full.a, 3), back = fill(full.b, 4);

	/* In the states of closing. */
	struct ends half = join(four, AF_INET, to_four), last = join(six, AF_INET6, to_six);
	struct ends left = join(four, AF_INET, to_four), alone = join(both, AF_INET, to_both);
	send_data(half.a, 300, 5);
	shut(half.a, SHUT_WR);
	send_data(left.a, 200, 6);
	close(left.a);
	send_data(alone.b, 10, 7);
	shut(last.a, SHUT_WR);
	settle(half.a, TCP_FIN_WAIT2);
	settle(half.b, TCP_CLOSE_WAIT);
	settle(left.b, TCP_CLOSE_WAIT);
	settle(last.b, TCP_CLOSE_WAIT);
	struct ends deaf = join(four, AF_INET, to_four);
	shut(deaf.a, SHUT_RD);
	struct ends over = join(four, AF_INET, to_four);
	shut(over.a, SHUT_WR);
	shut(over.b, SHUT_WR);
	settle(over.a, TCP_CLOSE);

	/* Its listening socket is gone, and had not said that its port may be shared. */
	int gone = listening(AF_INET, "127.0.0.1");
	struct ends orphan = join(gone, AF_INET, own_end(gone));
	close(gone);
	set_inet_option(orphan.a, IPPROTO_TCP, TCP_NODELAY, 1);
	set_inet_option(orphan.a, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_inet_option(orphan.a, IPPROTO_TCP, TCP_USER_TIMEOUT, 12345);
	set_option(orphan.a, SO_KEEPALIVE, 1);
	set_option(orphan.b, SO_REUSEADDR, 1);
	set_option(orphan.b, SO_PEEK_OFF, 0);
	set_inet_option(orphan.a, IPPROTO_TCP, TCP_KEEPINTVL, 78);
	set_inet_option(orphan.a, IPPROTO_TCP, TCP_KEEPCNT, 79);
	set_option(orphan.a, SO_SNDBUF, 30000);
	set_option(orphan.a, SO_RCVBUF, 20000);
	if (setsockopt(orphan.a, IPPROTO_TCP, TCP_CONGESTION, "reno", 4))
		die("TCP_CONGESTION");
	struct end ends[2] = { own_end(orphan.a), own_end(orphan.b) };

	/* Signed with a key. */
	int keyed = listening(AF_INET, "127.0.0.1");
	bool has_keys = add_key(keyed, own_end(keyed));
	struct ends sealed = { .a = new_inet(AF_INET, SOCK_STREAM) };
	if (has_keys)
		add_key(sealed.a, own_end(keyed));
	connect_end(sealed.a, own_end(keyed));
	sealed.b = accept_from(keyed);

	send_data(between.a, 150, 8);
	struct agreed agreements[] = { agreed(orphan.a), agreed(orphan.b), agreed(over_six.a) };
	ready();
	wait_for_term();

	check_agreed("agreed on", orphan.a, agreements[0]);
	check_agreed("agreed on by the other", orphan.b, agreements[1]);
	check_agreed("agreed on over IPv6", over_six.a, agreements[2]);
	check_talks("idle", idle);
	check_talks("IPv6", over_six);
	check_talks("IPv4 over IPv6", mapped);
	check_comes("what waits", waits.b, 5000, 1);
	check_comes("what waits in the other", waits.a, 100, 2);
	check_talks("what waited", waits);
	check_filled("full", full.b, there, 3);
	check_filled("full backwards", full.a, back, 4);
	check_talks("full", full);

	check_state("FIN_WAIT2", half.a, TCP_FIN_WAIT2);
	check_equal("CLOSE_WAIT", state_of(half.b), TCP_CLOSE_WAIT);
	check_comes("half closed", half.b, 300, 5);
	check_end("half closed: the end", half.b);
	send_data(half.b, 40, 11);
	check_comes("half closed: backwards", half.a, 40, 11);
	close(half.b);
	check_end("half closed: both ends", half.a);
	check_comes("closed by its peer", left.b, 200, 6);
	check_end("closed by its peer: the end", left.b);
	check_end("over IPv6", last.b);
	shut(last.b, SHUT_WR);
	check_end("over IPv6: both", last.a);
	check_comes("mapped", alone.a, 10, 7);
	close(alone.b);
	check_end("mapped: the end", alone.a);
	check_end("it receives nothing", deaf.a);
	check_end("both are closed", over.a);
	check_fails("nothing can be sent", send(over.b, "x", 1, MSG_NOSIGNAL), EPIPE);

	check_ends("addresses", orphan.a, ends[0], ends[1]);
	check_ends("addresses of the other", orphan.b, ends[1], ends[0]);
	check_talks("without who listens", orphan);
	check_equal("TCP_NODELAY", inet_option(orphan.a, IPPROTO_TCP, TCP_NODELAY), 1);
	check_equal("TCP_KEEPIDLE", inet_option(orphan.a, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	check_equal("TCP_KEEPINTVL", inet_option(orphan.a, IPPROTO_TCP, TCP_KEEPINTVL), 78);
	check_equal("TCP_KEEPCNT", inet_option(orphan.a, IPPROTO_TCP, TCP_KEEPCNT), 79);
	check_equal("SO_SNDBUF", option(orphan.a, SO_SNDBUF), 60000);
	check_equal("SO_RCVBUF", option(orphan.a, SO_RCVBUF), 40000);
	char algorithm[16] = "";
	socklen_t length = sizeof(algorithm);
	getsockopt(orphan.a, IPPROTO_TCP, TCP_CONGESTION, algorithm, &length);
	check(!strcmp(algorithm, "reno"), "TCP_CONGESTION", "it is %s", algorithm);
	check_equal("TCP_USER_TIMEOUT", inet_option(orphan.a, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
	check_equal("SO_KEEPALIVE", option(orphan.a, SO_KEEPALIVE), 1);
	check_equal("SO_REUSEADDR", option(orphan.b, SO_REUSEADDR), 1);
	check_equal("no SO_REUSEADDR", option(orphan.a, SO_REUSEADDR), 0);
	check_talks("with a key", sealed);
	if (has_keys)
		check_equal("without a key nobody is served", connect_with_key("anew with the key", keyed), 0);
	kill(child, SIGTERM);
	check_comes("of the child", between.a, 160, 9);
	shut(between.a, SHUT_WR);
	end_child("child", child);
	finish();
}
