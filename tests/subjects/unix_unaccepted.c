/*
 * Connections that wait to be accepted, by which something was sent already, and whose other end may be closed.
 *
 * Usage: unix_unaccepted stream|seqpacket [NAME]
 */
#include "sockets.h"

enum { LARGE = 30000 };

static struct name queue;
static int type;

static int client(void)
{
	int fd = new_socket(type);

	connect_to(fd, &queue);
	return fd;
}

static int next(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		die("accept");
	return fd;
}

/* Its end: a seqpacket socket tells of that by an empty message. */
static void check_end(const char *name, int fd)
{
	char byte;

	check_equal(name, recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

int main(int argc, char **argv)
{
	type = !strcmp(arg(argc, argv, 1, "stream"), "stream") ? SOCK_STREAM : SOCK_SEQPACKET;

	subject_init();
	queue = make_name(arg(argc, argv, 2, "@unaccepted"));
	int listener = new_socket(type);
	bind_to(listener, &queue);
	if (listen(listener, 10))
		die("listen");
	int talks = client();
	send_data(talks, 20, 1);
	send_data(talks, 3000, 2);
	int gone = client();
	send_data(gone, 50, 3);
	close(gone);
	int silent = client();
	close(client());
	int ends = client();
	send_data(ends, 7, 4);
	if (shutdown(ends, SHUT_WR))
		die("shutdown");
	gone = client();
	send_data(gone, LARGE, 5);
	send_data(gone, 5, 6);
	close(gone);
	ready();
	wait_for_term();

	int fd = next(listener);
	check_received("what was sent", fd, 20, 1);
	check_received("what was sent after that", fd, 3000, 2);
	check_empty("no more", fd);
	send_data(talks, 9, 7);
	check_received("it goes on", fd, 9, 7);
	send_data(fd, 10, 8);
	check_received("it is answered", talks, 10, 8);
	fd = next(listener);
	check_received("closed: what was sent", fd, 50, 3);
	check_end("closed: the end", fd);
	fd = next(listener);
	check_empty("silent", fd);
	send_data(silent, 11, 9);
	check_received("silent: it goes on", fd, 11, 9);
	fd = next(listener);
	check_end("closed at once", fd);
	fd = next(listener);
	check_received("ended: what was sent", fd, 7, 4);
	check_end("ended: the end", fd);
	send_data(fd, 12, 1);
	check_received("ended: it is answered", ends, 12, 1);
	fd = next(listener);
	check_received("closed: much that was sent", fd, LARGE, 5);
	check_received("closed: what was sent after that", fd, 5, 6);
	check_end("closed: the end of much", fd);
	if (fcntl(listener, F_SETFL, O_NONBLOCK))
		die("O_NONBLOCK");
	check_fails("nobody else waits", accept4(listener, NULL, NULL, 0), EAGAIN);
	finish();
}
