/*
 * TCP connections that are not made on both sides: one that nobody answers, and such as wait to be accepted, whose
 * other ends are in this process and in a child.
 */
#include "inet.h"

#include <linux/filter.h>

static int state_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? -errno : info.tcpi_state;
}

static int listening(int family, const char *address)
{
	int fd = new_inet(family, SOCK_STREAM);

	bind_end(fd, make_end(family, address, 0));
	if (listen(fd, 4))
		die("listen");
	return fd;
}

/* A socket that hears nothing: whoever connects to it gets no answer. */
static int deaf(void)
{
	struct sock_filter nothing = { .code = BPF_RET | BPF_K };
	struct sock_fprog filter = { .len = 1, .filter = &nothing };
	int fd = listening(AF_INET, "127.0.0.1");

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		die("SO_ATTACH_FILTER");
	return fd;
}

static int connected(struct end to)
{
	int fd = new_inet(AF_INET, SOCK_STREAM);

	connect_end(fd, to);
	return fd;
}

/* Accepts one of these connections, and has both ends talk. Their order the kernel does not tell. */
static void check_accepted(int listener, const int *clients, int count)
{
	struct end from = { .len = sizeof(from.at) };
	int server = accept4(listener, &from.at.any, &from.len, SOCK_NONBLOCK);
	char byte = 0;

	for (int i = 0; i < count; i++) {
		struct pollfd comes = { .fd = server, .events = POLLIN };
		if (!is_end(own_end(clients[i]), from))
			continue;
		bool passed = send(clients[i], "x", 1, 0) == 1 && poll(&comes, 1, 10000) == 1 &&
			      recv(server, &byte, 1, 0) == 1 && send(server, "y", 1, 0) == 1 &&
			      recv(clients[i], &byte, 1, 0) == 1;
		check(passed && byte == 'y', "both ends talk", "errno %d", errno);
		return;
	}
	check(false, "who waits", "accept gives %d, errno %d, port %d", server, errno, ntohs(from.at.four.sin_port));
}

int main(void)
{
	subject_init();
	int nobody = deaf(), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0)
		die("socket");
	set_inet_option(fd, IPPROTO_TCP, TCP_SYNCNT, 100);
	struct end to = own_end(nobody);
	if (connect(fd, &to.at.any, to.len) == 0 || errno != EINPROGRESS)
		die("connect");
	struct end own = own_end(fd);

	/* One that takes any address, where those of IPv4 wait as well. */
	int listener = listening(AF_INET6, "::");
	to = make_end(AF_INET, "127.0.0.1", ntohs(own_end(listener).at.six.sin6_port));
	int alone = listening(AF_INET, "127.0.0.1");
	int clients[] = { connected(own_end(alone)), connected(own_end(alone)) };
	pid_t child = fork_child();
	if (child == 0) {
		close(clients[0]);
		close(clients[1]);
		close(listener);
		close(alone);
		int client = connected(to);
		wait_for_term();
		char byte = 0;
		check(recv(client, &byte, 1, 0) == 1 && byte == 'z', "the child hears", "errno %d", errno);
		child_finish();
	}
	/* One whose connections the kernel holds half made (SYN_RECV) until something comes by them. */
	int deferring = new_inet(AF_INET, SOCK_STREAM);
	set_inet_option(deferring, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1000);
	bind_end(deferring, make_end(AF_INET, "127.0.0.1", 0));
	if (listen(deferring, 4))
		die("listen");
	int silent = connected(own_end(deferring));
	struct pollfd comes = { .fd = listener, .events = POLLIN };
	if (poll(&comes, 1, 10000) != 1)
		die("poll");
	ready();
	wait_for_term();

	check_equal("SYN_SENT", state_of(fd), TCP_SYN_SENT);
	check(is_end(own_end(fd), own), "its address", "it has another");
	check_fails("it is asked again", connect(fd, &to.at.any, to.len), EALREADY);
	check_equal("it has its options", inet_option(fd, IPPROTO_TCP, TCP_SYNCNT), 100);
	for (int i = 0; i < 2; i++)
		check_equal("ESTABLISHED", state_of(clients[i]), TCP_ESTABLISHED);
	for (int i = 0; i < 2; i++)
		check_accepted(alone, clients, 2);
	check_equal("half made: ESTABLISHED", state_of(silent), TCP_ESTABLISHED);
	struct pollfd speaks = { .fd = deferring, .events = POLLIN };
	bool sent = send(silent, "y", 1, 0) == 1 && poll(&speaks, 1, 10000) == 1;
	check(sent, "half made: it comes when it speaks", "errno %d", errno);
	if (sent)
		check_accepted(deferring, (int[]){ silent }, 1);
	int server = accept(listener, NULL, NULL);
	check(server >= 0 && send(server, "z", 1, 0) == 1, "the child's is accepted", "errno %d", errno);
	end_child("the child", child);
	finish();
}
