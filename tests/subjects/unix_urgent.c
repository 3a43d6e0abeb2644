/*
 * Urgent data (MSG_OOB) in streams of unix sockets: with bytes before and behind it, alone, in line (SO_OOBINLINE), behind
 * one that came before, and from a sender that is gone.
 */
#include "sockets.h"

#include <sys/ioctl.h>

#ifndef SIOCATMARK
#define SIOCATMARK 0x8905
#endif

static void send_urgent(int fd, char byte)
{
	if (send(fd, &byte, 1, MSG_OOB) != 1)
		unsupported("MSG_OOB of unix sockets");
}

static void check_urgent(const char *name, int fd, char want)
{
	char byte = 0;
	ssize_t n = recv(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT);

	check(n == 1 && byte == want, name, "recv gives %zd, errno %d, byte %d", n, errno, byte);
}

static void check_priority(const char *name, int fd, int want)
{
	struct pollfd ready = { .fd = fd, .events = POLLPRI };

	poll(&ready, 1, 0);
	check_equal(name, (ready.revents & POLLPRI) != 0, want);
}

/* Nobody reads beyond the mark with one call. */
static void check_stops(const char *name, int fd, size_t size, int seed)
{
	ssize_t n = recv(fd, message_bytes, 1000, MSG_DONTWAIT);

	check(n == (ssize_t)size && bytes_are(message_bytes, size, seed), name, "%zd bytes instead of %zu (errno %d)", n,
	      size, errno);
}

int main(void)
{
	subject_init();
	struct ends middle = make_pair(SOCK_STREAM), alone = make_pair(SOCK_STREAM), inside = make_pair(SOCK_STREAM);
	struct ends twice = make_pair(SOCK_STREAM), gone = make_pair(SOCK_STREAM), large = make_pair(SOCK_STREAM);
	struct ends partly = make_pair(SOCK_STREAM);

	send_data(middle.a, 10, 1);
	send_urgent(middle.a, 'm');
	send_data(middle.a, 20, 2);
	send_data(middle.a, 30, 3);
	send_urgent(alone.a, 'a');
	/* Some of it is read already. */
	if (send(partly.a, "xxab", 4, 0) != 4 || recv(partly.b, message_bytes, 2, 0) != 2)
		die("send");
	send_urgent(partly.a, 'p');
	set_option(inside.b, SO_OOBINLINE, 1);
	send_data(inside.a, 5, 4);
	send_urgent(inside.a, 'i');
	send_data(inside.a, 6, 5);
	send_urgent(twice.a, 'f');
	send_data(twice.a, 7, 6);
	send_urgent(twice.a, 's');
	send_data(gone.a, 8, 7);
	send_urgent(gone.a, 'g');
	close(gone.a);
	send_data(large.a, 50000, 8);
	send_urgent(large.a, 'l');
	send_data(large.a, 40000, 9);
	ready();
	wait_for_term();

	check_priority("in the middle", middle.b, 1);
	check_stops("before it", middle.b, 10, 1);
	check_urgent("in the middle: itself", middle.b, 'm');
	check_priority("in the middle: taken", middle.b, 0);
	check_received("behind it", middle.b, 20, 2);
	check_received("behind it, further", middle.b, 30, 3);
	check_urgent("alone", alone.b, 'a');
	check(recv(partly.b, message_bytes, 9, MSG_DONTWAIT) == 2 && !memcmp(message_bytes, "ab", 2), "what was left",
	      "errno %d", errno);
	check_urgent("behind what was left", partly.b, 'p');
	check_equal("in line: no other way", recv(inside.b, message_bytes, 1, MSG_OOB | MSG_DONTWAIT), -1);
	check_stops("in line: before it", inside.b, 5, 4);
	check(recv(inside.b, message_bytes, 1, MSG_DONTWAIT) == 1 && message_bytes[0] == 'i', "in line", "errno %d", errno);
	check_received("in line: behind it", inside.b, 6, 5);
	check_urgent("the second", twice.b, 's');
	check_urgent("of one that is gone", gone.b, 'g');
	check_received("of one that is gone: before it", gone.b, 8, 7);
	check_stops("large: before it", large.b, 1000, 8);
	check_urgent("large", large.b, 'l');
	send_data(middle.a, 9, 10);
	check_received("it goes on", middle.b, 9, 10);
	send_urgent(middle.a, 'n');
	check_urgent("once more", middle.b, 'n');
	finish();
}
