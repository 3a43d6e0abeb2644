/*
 * Messages that were begun and not sent (MSG_MORE, UDP_CORK), of UDP, UDP-Lite and raw sockets: the program goes on with
 * them, and they arrive in one piece, where they were to go and as they were begun.
 */
#include "inet.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* A number that no protocol has. */
enum { RAW = 253, LARGE = 40000 };

/* Sends a piece, with a number beside it. */
static void piece(int fd, const struct end *to, const void *bytes, size_t size, int flags, int level, int type,
		  int value)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec vector = { (void *)bytes, size };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

	if (to != NULL) {
		message.msg_name = (void *)&to->at;
		message.msg_namelen = to->len;
	}
	if (type != 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		*head = (struct cmsghdr){ CMSG_LEN(sizeof(value)), level, type };
		memcpy(CMSG_DATA(head), &value, sizeof(value));
	}
	if (sendmsg(fd, &message, flags) != (ssize_t)size)
		die("sendmsg");
}

static void check_message(const char *name, int fd, const void *want, size_t size, int header, int level, int type,
			  int value)
{
	char control[256];
	struct iovec vector = { message_bytes, sizeof(message_bytes) };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct pollfd poll_it = { .fd = fd, .events = POLLIN };

	poll(&poll_it, 1, 10000);
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
	check(n == (ssize_t)size + header && !memcmp((char *)message_bytes + header, want, size), name,
	      "%zd bytes, not %zu, or others (errno %d)", n, size + header, n < 0 ? errno : 0);
	if (type == 0)
		return;
	int got = -1;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head != NULL; head = CMSG_NXTHDR(&message, head))
		if (head->cmsg_level == level && head->cmsg_type == type)
			/* IP_TOS comes as a byte. */
			memcpy(&got, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0)), got = type == IP_TOS ? got & 0xff : got;
	check_equal(name, got, value);
}

int main(void)
{
	static unsigned char large[LARGE + 10];
	int off = 0;

	subject_init();
	fill_bytes(large, sizeof(large), 3);
	int four = bound_socket(AF_INET, SOCK_DGRAM, 0, "127.0.0.1"), other = bound_socket(AF_INET, SOCK_DGRAM, 0, "127.0.0.2");
	int six = bound_socket(AF_INET6, SOCK_DGRAM, 0, "::1"), lite = bound_socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, "127.0.0.1");
	int whole = bound_socket(AF_INET, SOCK_DGRAM, 0, "127.0.0.1");
	int raw = bound_socket(AF_INET, SOCK_RAW, RAW, "127.0.0.3"), raw_six = bound_socket(AF_INET6, SOCK_RAW, RAW, "::1");
	struct end to_four = own_end(four), to_other = own_end(other), to_six = own_end(six), to_lite = own_end(lite);
	struct end to_whole = own_end(whole), to_raw = own_end(raw), to_raw_six = own_end(raw_six);
	set_inet_option(other, IPPROTO_IP, IP_RECVTTL, 1);
	set_inet_option(six, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set_inet_option(six, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set_inet_option(whole, IPPROTO_IP, IP_RECVTOS, 1);
	to_raw.at.four.sin_port = 0;
	to_raw_six.at.six.sin6_port = 0;

	/* Connected, in two pieces. */
	int more = new_inet(AF_INET, SOCK_DGRAM);
	connect_end(more, to_four);
	piece(more, NULL, "abc", 3, MSG_MORE, 0, 0, 0);
	piece(more, NULL, "defg", 4, MSG_MORE, 0, 0, 0);
	/* Not connected, many bytes, with hops of its own. */
	int corked = new_inet(AF_INET, SOCK_DGRAM);
	set_inet_option(corked, IPPROTO_UDP, UDP_CORK, 1);
	piece(corked, &to_other, large, 1000, 0, IPPROTO_IP, IP_TTL, 7);
	piece(corked, NULL, large + 1000, LARGE - 1000, 0, 0, 0, 0);
	/* Nothing yet, with a class of its own. */
	int empty = new_inet(AF_INET, SOCK_DGRAM);
	piece(empty, &to_whole, "", 0, MSG_MORE, IPPROTO_IP, IP_TOS, 0x20);
	/* IPv6, and IPv4 by a socket of IPv6. */
	int by_six = new_inet(AF_INET6, SOCK_DGRAM), mapped = new_inet(AF_INET6, SOCK_DGRAM);
	piece(by_six, &to_six, large, 3000, MSG_MORE, IPPROTO_IPV6, IPV6_HOPLIMIT, 9);
	piece(by_six, NULL, large + 3000, 3000, MSG_MORE, 0, 0, 0);
	struct end to_mapped = make_end(AF_INET6, "::ffff:127.0.0.1", ntohs(to_four.at.four.sin_port));
	piece(mapped, &to_mapped, "mapped", 6, MSG_MORE, 0, 0, 0);
	int by_lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
	piece(by_lite, &to_lite, "li", 2, MSG_MORE, 0, 0, 0);
	/* In segments. */
	int cut = new_inet(AF_INET, SOCK_DGRAM);
	set_inet_option(cut, IPPROTO_UDP, UDP_SEGMENT, 4);
	piece(cut, &to_four, "123456", 6, MSG_MORE, 0, 0, 0);
	set_inet_option(cut, IPPROTO_UDP, UDP_SEGMENT, 0);
	/* Raw ones. */
	int by_raw = socket(AF_INET, SOCK_RAW, RAW), loose = socket(AF_INET, SOCK_RAW, RAW);
	int by_raw_six = socket(AF_INET6, SOCK_RAW, RAW);
	bind_end(loose, make_end(AF_INET, "127.0.0.4", 0));
	bind_end(by_raw, make_end(AF_INET, "127.0.0.5", 0));
	connect_end(by_raw, to_raw);
	piece(by_raw, NULL, "raw", 3, MSG_MORE, 0, 0, 0);
	piece(loose, &to_raw, "loose", 5, MSG_MORE, 0, 0, 0);
	bind_end(by_raw_six, make_end(AF_INET6, "::1", 0));
	connect_end(by_raw_six, to_raw_six);
	piece(by_raw_six, &to_raw_six, large, 500, MSG_MORE, 0, 0, 0);
	ready();
	wait_for_term();

	piece(more, NULL, "!", 1, 0, 0, 0, 0);
	check_message("connected", four, "abcdefg!", 8, 0, 0, 0, 0);
	if (setsockopt(corked, IPPROTO_UDP, UDP_CORK, &off, sizeof(off)))
		die("UDP_CORK");
	check_message("corked", other, large, LARGE, 0, IPPROTO_IP, IP_TTL, 7);
	piece(empty, NULL, "at last", 7, 0, 0, 0, 0);
	check_message("empty", whole, "at last", 7, 0, IPPROTO_IP, IP_TOS, 0x20);
	piece(by_six, NULL, large + 6000, 10, 0, 0, 0, 0);
	check_message("of IPv6", six, large, 6010, 0, IPPROTO_IPV6, IPV6_HOPLIMIT, 9);
	piece(mapped, NULL, "!", 1, 0, 0, 0, 0);
	check_message("IPv4 by a socket of IPv6", four, "mapped!", 7, 0, 0, 0, 0);
	piece(by_lite, NULL, "te", 2, 0, 0, 0, 0);
	check_message("of UDP-Lite", lite, "lite", 4, 0, 0, 0, 0);
	piece(cut, NULL, "78", 2, 0, 0, 0, 0);
	check_message("the first segment", four, "1234", 4, 0, 0, 0, 0);
	check_message("the second segment", four, "5678", 4, 0, 0, 0, 0);
	piece(by_raw, NULL, "!", 1, 0, 0, 0, 0);
	check_message("raw", raw, "raw!", 4, 20, 0, 0, 0);
	piece(loose, &to_raw, "!", 1, 0, 0, 0, 0);
	check_message("raw and not connected", raw, "loose!", 6, 20, 0, 0, 0);
	piece(by_raw_six, &to_raw_six, large + 500, 5, 0, 0, 0, 0);
	check_message("raw, of IPv6", raw_six, large, 505, 0, 0, 0, 0);
	/* All of it again works. */
	piece(more, NULL, "again", 5, 0, 0, 0, 0);
	check_message("goes on", four, "again", 5, 0, 0, 0, 0);
	finish();
}
