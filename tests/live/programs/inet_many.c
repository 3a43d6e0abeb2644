/*
 * Sends to each of many clients of TCP, and receives from each, numbered bytes, and says at the end whether all came.
 *
 * The first byte of a client says how many: 'f' for FULL and 'q' for FEW. Of the former nothing is read until SIGTERM,
 * so that both directions are full. Its port is a fact.
 */
#include "inet.h"

#define MOST 128
#define FULL 500000
#define FEW 20000

static struct client {
	size_t total, sent, received, wrong;
	bool has_end;
} clients[MOST];

static unsigned char numbered(size_t at)
{
	return at % 251;
}

/* As much as goes. */
static void send_some(int fd, struct client *c)
{
	static unsigned char bytes[8192];

	while (c->sent < c->total) {
		size_t size = c->total - c->sent < sizeof(bytes) ? c->total - c->sent : sizeof(bytes);
		for (size_t i = 0; i < size; i++)
			bytes[i] = numbered(c->sent + i);
		ssize_t n = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			return;
		c->sent += n;
	}
	shutdown(fd, SHUT_WR);
}

static void receive_some(int fd, struct client *c)
{
	static unsigned char bytes[8192];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		c->has_end = true;
	for (ssize_t i = 0; i < n; i++)
		c->wrong += bytes[i] != numbered(c->received++);
}

int main(void)
{
	struct pollfd all[MOST + 1] = { 0 };
	int count = 0;

	subject_init();
	int listener = new_inet(AF_INET, SOCK_STREAM);
	/* Those that it accepts have the same. */
	set_option(listener, SO_RCVBUF, 32768);
	set_option(listener, SO_SNDBUF, 32768);
	bind_end(listener, make_end(AF_INET, "127.0.0.1", 0));
	if (listen(listener, MOST))
		die("listen");
	all[MOST] = (struct pollfd){ .fd = listener, .events = POLLIN };
	say("port=%d", ntohs(own_end(listener).at.four.sin_port));
	ready();
	for (bool ends = false; !ends;) {
		for (int i = 0; i < count; i++) {
			struct client *c = &clients[i];
			bool reads = !c->has_end && (c->total != FULL || term_requested);
			all[i].events = (reads ? POLLIN : 0) | (c->sent < c->total ? POLLOUT : 0);
			/* What is hung up at both ends is always ready. */
			all[i].fd = all[i].events == 0 ? -1 : all[i].fd;
		}
		all[count] = all[MOST];
		poll(all, count + 1, 100);
		for (int i = 0; i < count; i++) {
			if (all[i].revents & POLLOUT)
				send_some(all[i].fd, &clients[i]);
			if ((all[i].events & POLLIN) && (all[i].revents & (POLLIN | POLLHUP | POLLERR)))
				receive_some(all[i].fd, &clients[i]);
		}
		if ((all[count].revents & POLLIN) && count < MOST) {
			char kind = 0;
			int fd = accept(listener, NULL, NULL);
			if (fd < 0 || recv(fd, &kind, 1, 0) != 1)
				die("accept");
			clients[count].total = kind == 'f' ? FULL : FEW;
			all[count++] = (struct pollfd){ .fd = fd };
		}
		ends = term_requested;
		for (int i = 0; i < count; i++)
			ends = ends && clients[i].has_end && clients[i].sent == clients[i].total;
	}
	for (int i = 0; i < count; i++) {
		struct client *c = &clients[i];
		check(c->received == c->total && c->wrong == 0, "a client", "%zu of %zu bytes, %zu wrong", c->received,
		      c->total, c->wrong);
	}
	check_equal("clients", count, 100);
	finish();
}
