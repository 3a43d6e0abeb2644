/*
 * Connections that wait to be accepted, and whose other ends have shut down, closed or reset them.
 */
#include "inet.h"

#include <linux/sockios.h>

enum { LARGE = 40000, CASES = 9 };

/* How the other end has left: it has shut down, closed, is gone altogether, has reset it, has shut down and reset it. */
enum leaving { SHUT, CLOSED, GONE, RESET, END_AND_RESET };

struct connection {
	const char *name;
	enum leaving leaving;
	size_t size;
	int client, accepted;
	bool of_six;
	struct end from;
};

static struct connection cases[CASES] = {
	{ .name = "shut down", .leaving = SHUT, .size = 0 },
	{ .name = "shut down, with data", .leaving = SHUT, .size = LARGE },
	{ .name = "closed", .leaving = CLOSED, .size = 0 },
	{ .name = "closed, with data", .leaving = CLOSED, .size = LARGE },
	{ .name = "closed, of IPv6", .leaving = CLOSED, .size = 100, .of_six = true },
	{ .name = "gone", .leaving = GONE, .size = 200 },
	{ .name = "reset", .leaving = RESET, .size = 0 },
	{ .name = "reset, with data", .leaving = RESET, .size = 300 },
	{ .name = "reset behind its end", .leaving = END_AND_RESET, .size = 400 },
};

static void leave(struct connection *one)
{
	struct linger now = { .l_onoff = 1 };

	if (one->leaving == SHUT || one->leaving == END_AND_RESET)
		if (shutdown(one->client, SHUT_WR))
			die("shutdown");
	if (one->leaving == SHUT)
		return;
	if (one->leaving == GONE)
		set_inet_option(one->client, IPPROTO_TCP, TCP_LINGER2, 1);
	if (one->leaving == RESET || one->leaving == END_AND_RESET)
		if (setsockopt(one->client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)))
			die("SO_LINGER");
	close(one->client);
}

/* In which order they come back is not told. */
static void accept_one(int listener)
{
	struct end from = { .len = sizeof(from.at) };
	int fd = accept(listener, &from.at.any, &from.len);

	if (fd < 0)
		die("accept");
	for (int i = 0; i < CASES; i++) {
		if (is_end(cases[i].from, from) && cases[i].accepted == 0) {
			cases[i].accepted = fd;
			return;
		}
	}
	check(false, "who comes", "it is another one");
}

static void check_case(struct connection *one)
{
	check(one->accepted > 0, one->name, "it does not come");
	if (one->accepted <= 0)
		return;
	if (one->size > 0) {
		ssize_t n = recv(one->accepted, message_bytes, one->size, MSG_WAITALL);
		check(n == (ssize_t)one->size && bytes_are(message_bytes, one->size, one->size), one->name,
		      "%zd bytes, or others (errno %d)", n, errno);
	}
	ssize_t n = recv(one->accepted, message_bytes, 1, MSG_DONTWAIT);
	if (one->leaving == RESET)
		check(n == -1 && errno == ECONNRESET, one->name, "recv %zd, errno %d instead of a reset", n, errno);
	else
		check(n == 0, one->name, "recv %zd, errno %d instead of the end", n, errno);
	check_equal(one->name, inet_option(one->accepted, SOL_SOCKET, SO_ERROR), one->leaving == END_AND_RESET ? EPIPE : 0);
	if (one->leaving == SHUT) {
		/* The other direction goes on. */
		send_data(one->accepted, 50, 7);
		n = recv(one->client, message_bytes, 50, MSG_WAITALL);
		check(n == 50 && bytes_are(message_bytes, 50, 7), one->name, "it gets no answer: %zd (errno %d)", n, errno);
	} else if (one->leaving == CLOSED || one->leaving == GONE) {
		/* Nobody is there. */
		struct pollfd reset = { .fd = one->accepted };
		send_data(one->accepted, 1, 7);
		check(poll(&reset, 1, 10000) == 1 && (reset.revents & POLLERR), one->name, "it is not reset");
	}
}

int main(void)
{
	subject_init();
	int four = new_inet(AF_INET, SOCK_STREAM), six = new_inet(AF_INET6, SOCK_STREAM);
	bind_end(four, make_end(AF_INET, "127.0.0.1", 0));
	bind_end(six, make_end(AF_INET6, "::1", 0));
	if (listen(four, CASES) || listen(six, CASES))
		die("listen");
	for (int i = 0; i < CASES; i++) {
		struct connection *one = &cases[i];
		one->client = new_inet(one->of_six ? AF_INET6 : AF_INET, SOCK_STREAM);
		connect_end(one->client, own_end(one->of_six ? six : four));
		one->from = own_end(one->client);
		if (one->size > 0)
			send_data(one->client, one->size, one->size);
	}
	/* All has come by then, also on a machine with much to do. */
	for (int i = 0; i < CASES; i++) {
		int left = 1;
		while (ioctl(cases[i].client, SIOCOUTQ, &left) == 0 && left > 0)
			usleep(1000);
		leave(&cases[i]);
	}
	/* The kernel gives up the one that is to be gone. */
	sleep(2);
	ready();
	wait_for_term();

	for (int i = 0; i < CASES; i++)
		accept_one(cases[i].of_six ? six : four);
	for (int i = 0; i < CASES; i++)
		check_case(&cases[i]);
	check(fcntl(four, F_SETFL, O_NONBLOCK) == 0 && accept(four, NULL, NULL) == -1 && errno == EAGAIN, "no more",
	      "another one comes");
	finish();
}
