/*
 * Holds unix sockets of which one cannot be saved, and says at the end whether all of it is still as it was.
 *
 * Usage: unix_refused locked|urgent|error|filter|empty|unread|hasty
 *        unix_refused outside PATH   connected to a socket of somebody else
 */
#include "../../subjects/ebpf.h"
#include "../../subjects/sockets.h"

#include <sys/file.h>

int main(int argc, char **argv)
{
	const char *what = arg(argc, argv, 1, "locked");
	struct ends pair = make_pair(!strcmp(what, "error") || !strcmp(what, "empty") ? SOCK_SEQPACKET : SOCK_STREAM);
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	char byte = 'b';
	int outside = -1, listener = -1;

	subject_init();
	send_data(pair.b, 100, 1);
	if (!strcmp(what, "locked")) {
		int locked = open("locked", O_RDWR | O_CREAT, 0600);
		if (locked < 0 || flock(locked, LOCK_EX))
			die("flock");
		union {
			char space[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control = { .space = "" };
		struct iovec io = { &byte, 1 };
		struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.space,
					  .msg_controllen = sizeof(control.space) };
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &locked, sizeof(int));
		if (sendmsg(pair.a, &message, 0) != 1)
			die("sendmsg");
		close(locked);
	} else if (!strcmp(what, "urgent")) {
		if (send(pair.a, &byte, 1, MSG_OOB) != 1)
			unsupported("MSG_OOB of unix sockets");
	} else if (!strcmp(what, "error")) {
		send_data(pair.a, 50, 2);
		close(pair.a);
	} else if (!strcmp(what, "filter")) {
		attach_ebpf(pair.b);
	} else if (!strcmp(what, "empty")) {
		send_data(pair.a, 5, 2);
		send_data(pair.a, 0, 3);
		send_data(pair.a, 6, 4);
	} else if (!strcmp(what, "unread") || !strcmp(what, "hasty")) {
		struct name queue = make_name("@refused");
		listener = new_socket(SOCK_STREAM);
		bind_to(listener, &queue);
		if (listen(listener, 5))
			die("listen");
		int client = new_socket(SOCK_STREAM);
		connect_to(client, &queue);
		send_data(client, 20, 5);
		if (!strcmp(what, "hasty"))
			close(client);
	} else if (!strcmp(what, "outside")) {
		snprintf(name.sun_path, sizeof(name.sun_path), "%s", arg(argc, argv, 2, ""));
		outside = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(outside, (struct sockaddr *)&name, sizeof(name)))
			die("connect to %s", name.sun_path);
		fact("outside", "%d", outside);
	}
	ready();
	wait_for_term();

	unsigned char data[200];
	if (!strcmp(what, "error")) {
		check_fails("error first", recv(pair.b, data, 200, MSG_DONTWAIT), ECONNRESET);
		check_received("data behind the error", pair.b, 50, 2);
		finish();
	}
	check_received("data", pair.a, 100, 1);
	if (!strcmp(what, "locked"))
		check(recv(pair.b, data, 1, MSG_DONTWAIT) == 1 && data[0] == 'b', "byte with a descriptor", "other");
	if (!strcmp(what, "urgent"))
		check(recv(pair.b, data, 1, MSG_DONTWAIT | MSG_OOB) == 1 && data[0] == 'b', "urgent byte", "other");
	if (!strcmp(what, "empty")) {
		check_received("first", pair.b, 5, 2);
		check_received("empty", pair.b, 0, 3);
		check_received("last", pair.b, 6, 4);
	}
	if (listener >= 0)
		check_received("what was sent before it was accepted", accept_from(listener), 20, 5);
	if (outside >= 0)
		check(recv(outside, data, 200, 0) == 5 && !memcmp(data, "hello", 5), "from outside", "others");
	finish();
}
