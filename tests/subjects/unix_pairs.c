/*
 * Pairs of unix sockets of one type: with data in both directions, message boundaries, empty and long messages, a
 * full queue, both ends in one task or in two, shared, non-blocking, half and wholly shut down, one end closed with
 * and without unread data, with an owner, and a task that waits in one.
 *
 * Usage: unix_pairs stream|dgram|seqpacket [plain]   without what CRIU does not know
 */
#include "sockets.h"

static volatile sig_atomic_t signalled;

static void on_io(int sig)
{
	(void)sig;
	signalled++;
}

int main(int argc, char **argv)
{
	const char *kind = arg(argc, argv, 1, "stream");
	int type = !strcmp(kind, "dgram") ? SOCK_DGRAM : !strcmp(kind, "seqpacket") ? SOCK_SEQPACKET : SOCK_STREAM;
	bool plain = argc > 2 && !strcmp(argv[2], "plain");
	bool messages = type != SOCK_STREAM, connection = type != SOCK_DGRAM;
	unsigned char buffer[256];

	subject_init();
	signal(SIGPIPE, SIG_IGN);
	struct ends empty = make_pair(type | SOCK_CLOEXEC), both = make_pair(type), large = make_pair(type);
	struct ends full = make_pair(type | SOCK_NONBLOCK), between = make_pair(type), waited = make_pair(type);
	struct ends half = make_pair(type), whole = make_pair(type), left = make_pair(type), unread = make_pair(type);
	struct ends owned = make_pair(type), peeked = make_pair(type), behind = make_pair(type);
	int alone = socket(AF_UNIX, type, 0);

	send_data(both.a, 100, 1);
	send_data(both.a, 200, 2);
	if (messages && !plain)
		send_data(both.a, 0, 0);
	send_data(both.a, 300, 3);
	send_data(both.b, 400, 4);
	send_data(large.a, 150000, 5);
	if (messages)
		send_data(large.a, 1, 6);
	int filled = 0;
	while (send(full.a, "f", 1, 0) == 1)
		filled++;
	send_data(half.a, 50, 7);
	send_data(half.b, 60, 8);
	if (shutdown(half.a, SHUT_WR) || shutdown(whole.a, SHUT_RDWR))
		die("shutdown");
	send_data(left.a, 70, 9);
	if (connection || !plain)
		close(left.a);
	if (!plain) {
		send_data(unread.b, 80, 10);
		close(unread.a);
	}
	/* An error waits behind the data of a stream, and before messages: these no checkpoint can read. */
	if (!plain) {
		send_data(behind.b, 1, 11);
		if (type != SOCK_SEQPACKET)
			send_data(behind.a, 90, 12);
		close(behind.a);
	}
	send_data(peeked.a, 10, 13);
	send_data(peeked.a, 20, 14);
	if (!plain)
		set_option(peeked.b, SO_PEEK_OFF, 0);
	if (recv(peeked.b, buffer, 4, MSG_PEEK) != 4)
		die("MSG_PEEK");
	fcntl(owned.b, F_SETOWN, getpid());
	fcntl(owned.b, F_SETFL, O_ASYNC);
	signal(SIGIO, on_io);
	int dup_of_both = dup(both.b);
	send_data(between.a, 500, 15);
	int told[2];
	if (pipe(told))
		die("pipe");
	pid_t child = fork_child();
	if (child == 0) {
		close(between.a);
		close(waited.a);
		child_is_ready(told);
		/* Waits in a call; the parent answers when all is over. */
		ssize_t n = recv(waited.b, buffer, sizeof(buffer), 0);
		check(n == 6 && !memcmp(buffer, "answer", 6), "child: waited", "%zd bytes, errno %d", n, errno);
		check_received("child: data", between.b, 500, 15);
		check_empty("child: no more data", between.b);
		send_data(between.b, 600, 16);
		child_finish();
	}
	close(between.b);
	close(waited.b);
	wait_for_child(told);
	fact("child", "%d", child);
	ready();
	wait_for_term();

	check_empty("empty", empty.a);
	check_equal("close-on-exec", fcntl(empty.b, F_GETFD) == FD_CLOEXEC && fcntl(both.a, F_GETFD) == 0, 1);
	check_equal("flags", fcntl(full.a, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(both.a, F_GETFL) == O_RDWR, 1);
	check_received("first", both.b, 100, 1);
	check_received("second", dup_of_both, 200, 2);
	if (messages && !plain)
		check_received("empty message", both.b, 0, 0);
	check_received("last", both.b, 300, 3);
	check_empty("no more", both.b);
	check_received("other direction", both.a, 400, 4);
	check_received("large", large.b, 150000, 5);
	if (messages)
		check_received("after the large one", large.b, 1, 6);
	int drained = 0;
	while (recv(full.b, buffer, 1, 0) == 1 && buffer[0] == 'f')
		drained++;
	check_equal("full", drained, filled);
	check_equal("room again", send(full.a, "f", 1, 0), 1);
	check_received("half shut down: data", half.b, 50, 7);
	check_fails("half shut down: sending", send(half.a, "x", 1, MSG_DONTWAIT), EPIPE);
	check_received("half shut down: other data", half.a, 60, 8);
	if (connection)
		check_equal("half shut down: end", recv(half.b, buffer, 1, MSG_DONTWAIT), 0);
	check_fails("shut down: sending", send(whole.a, "x", 1, MSG_DONTWAIT), EPIPE);
	check_fails("shut down: sending to it", send(whole.b, "x", 1, MSG_DONTWAIT), EPIPE);
	check_received("closed: data", left.b, 70, 9);
	if (connection)
		check_equal("closed: end", recv(left.b, buffer, 1, MSG_DONTWAIT), 0);
	if (connection || !plain)
		check_fails("closed: sending", send(left.b, "x", 1, MSG_DONTWAIT),
			    connection ? EPIPE : ECONNREFUSED);
	if (connection && !plain) {
		check_fails("closed with unread data: error", recv(unread.b, buffer, 1, MSG_DONTWAIT), ECONNRESET);
		check_equal("closed with unread data: end", recv(unread.b, buffer, 1, MSG_DONTWAIT), 0);
		if (type == SOCK_STREAM)
			check_received("data before the error", behind.b, 90, 12);
		check_fails("error behind the data", recv(behind.b, buffer, 1, MSG_DONTWAIT), ECONNRESET);
	} else {
		check_empty("closed with unread data", unread.b);
	}
	ssize_t n = recv(peeked.b, buffer, 4, MSG_PEEK);
	check(n == 4 && buffer[0] == byte_at(13, plain ? 0 : 4), "peek offset", "%zd bytes, others", n);
	check_received("after peeking", peeked.b, 10, 13);
	check_received("after peeking: second", peeked.b, 20, 14);
	signalled = 0;
	send_data(owned.a, 1, 17);
	check_equal("signal to the owner", signalled, 1);
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	check(getpeername(alone, (struct sockaddr *)&name, &len) == -1 && errno == ENOTCONN, "alone", "errno %d", errno);
	if (!plain) {
		struct ucred me = { getpid(), geteuid(), getegid() };
		check_peer("maker of a pair", both.a, me);
		check_peer("maker of a pair, other end", both.b, me);
		check_peer("maker of a closed peer", left.b, me);
	}
	if (send(waited.a, "answer", 6, 0) != 6)
		die("send");
	end_child("child", child);
	check_received("child's answer", between.a, 600, 16);
	if (connection)
		check_equal("end after the child", recv(between.a, buffer, 1, MSG_DONTWAIT), 0);
	finish();
}
