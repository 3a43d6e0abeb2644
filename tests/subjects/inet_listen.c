/*
 * TCP sockets that are no connections: listening ones of both families, bound ones, new ones, with options.
 */
#include "inet.h"

static const struct {
	const char *name;
	int level, option, value, want;
} OPTIONS[] = {
	{ "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1, 1 },
	{ "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1, 1 },
	{ "SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 1, 1 },
	{ "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1, 1 },
	{ "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 9, 9 },
	{ "IP_TOS", IPPROTO_IP, IP_TOS, 0x10, 0x10 },
	{ "IP_TTL", IPPROTO_IP, IP_TTL, 33, 33 },
	{ "IP_FREEBIND", IPPROTO_IP, IP_FREEBIND, 1, 1 },
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1, 1 },
	{ "TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 1000, 1000 },
	{ "TCP_CORK", IPPROTO_TCP, TCP_CORK, 1, 1 },
	{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 11, 11 },
	{ "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 12, 12 },
	{ "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 13, 13 },
	{ "TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 4, 4 },
	{ "TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, 22, 22 },
	{ "TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 3, 3 },
	{ "TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, 30000, 30000 },
	{ "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 4321, 4321 },
	{ "TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 5555, 5555 },
	{ "TCP_FASTOPEN", IPPROTO_TCP, TCP_FASTOPEN, 6, 6 },
	{ "TCP_SAVE_SYN", IPPROTO_TCP, TCP_SAVE_SYN, 1, 1 },
};
#define COUNT (sizeof(OPTIONS) / sizeof(OPTIONS[0]))

static int listening(int family, const char *address, int backlog)
{
	int fd = new_inet(family, SOCK_STREAM);

	bind_end(fd, make_end(family, address, 0));
	if (listen(fd, backlog))
		die("listen");
	return fd;
}

/* Somebody connects, is accepted, and both talk. */
static void check_serves(const char *name, int listener, int family, struct end to)
{
	char byte = 0;
	int client = new_inet(family, SOCK_STREAM);
	int result = connect(client, &to.at.any, to.len);
	int server = accept(listener, NULL, NULL);
	bool passed = result == 0 && server >= 0 && send(client, "x", 1, 0) == 1 && recv(server, &byte, 1, 0) == 1;

	check(passed && byte == 'x', name, "connect gives %d, accept %d, errno %d", result, server, errno);
	close(server);
	close(client);
}

static int backlog_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? -errno : (int)info.tcpi_sacked;
}

int main(void)
{
	struct end none = { 0 };

	subject_init();
	int four = listening(AF_INET, "127.0.0.1", 17), six = listening(AF_INET6, "::1", 5);
	int both = listening(AF_INET6, "::", 5), idle = new_inet(AF_INET, SOCK_STREAM);
	int bound = new_inet(AF_INET, SOCK_STREAM), shut = new_inet(AF_INET, SOCK_STREAM);
	bind_end(bound, make_end(AF_INET, "127.0.0.1", 0));
	if (shutdown(shut, SHUT_RDWR) != -1)
		die("shutdown");
	int set = new_inet(AF_INET, SOCK_STREAM);
	for (size_t i = 0; i < COUNT; i++)
		set_inet_option(set, OPTIONS[i].level, OPTIONS[i].option, OPTIONS[i].value);
	if (setsockopt(set, IPPROTO_TCP, TCP_CONGESTION, "reno", 4))
		die("TCP_CONGESTION");
	bind_end(set, make_end(AF_INET, "127.0.0.1", 0));
	/* Its port is free again for others of this address, and a second one of the group has it. */
	int twin = new_inet(AF_INET, SOCK_STREAM);
	set_inet_option(twin, SOL_SOCKET, SO_REUSEPORT, 1);
	set_inet_option(twin, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_end(twin, own_end(set));
	if (listen(set, 3) || listen(twin, 3))
		die("listen");
	struct end ends[] = { own_end(four), own_end(six), own_end(both), own_end(bound), own_end(set) };
	/* Somebody who is not the owner listens, too. */
	pid_t child = fork_child();
	if (child == 0) {
		wait_for_term();
		check_ends("child: the same", four, ends[0], none);
		child_finish();
	}
	ready();
	wait_for_term();

	check_ends("IPv4", four, ends[0], none);
	check_ends("IPv6", six, ends[1], none);
	check_ends("IPv6 and IPv4", both, ends[2], none);
	check_ends("bound", bound, ends[3], none);
	check_ends("of a group", set, ends[4], none);
	check_ends("the other of it", twin, ends[4], none);
	check_equal("not bound", ntohs(own_end(idle).at.four.sin_port), 0);
	check_equal("backlog", backlog_of(four), 17);
	check_equal("backlog of IPv6", backlog_of(six), 5);
	check_serves("IPv4 serves", four, AF_INET, ends[0]);
	check_serves("IPv6 serves", six, AF_INET6, ends[1]);
	check_serves("IPv6 serves IPv4", both, AF_INET, make_end(AF_INET, "127.0.0.1", ntohs(ends[2].at.six.sin6_port)));
	char byte;
	check_equal("shut down", (int)recv(shut, &byte, 1, MSG_DONTWAIT), 0);
	check_fails("not connected", recv(idle, &byte, 1, MSG_DONTWAIT), ENOTCONN);
	for (size_t i = 0; i < COUNT; i++)
		check_equal(OPTIONS[i].name, inet_option(set, OPTIONS[i].level, OPTIONS[i].option), OPTIONS[i].want);
	check_equal("no SO_REUSEADDR", inet_option(four, SOL_SOCKET, SO_REUSEADDR), 0);
	char name[16] = "";
	socklen_t len = sizeof(name);
	getsockopt(set, IPPROTO_TCP, TCP_CONGESTION, name, &len);
	check(!strcmp(name, "reno"), "TCP_CONGESTION", "it is %s", name);
	if (listen(bound, 1))
		die("listen");
	check_serves("bound, and then listens", bound, AF_INET, ends[3]);
	end_child("child", child);
	finish();
}
