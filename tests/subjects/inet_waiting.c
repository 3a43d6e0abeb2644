/*
 * Messages that wait in UDP-Lite, raw and ICMP sockets: each with what was before it, from whom it was, and in the sockets
 * alone that had it.
 */
#include "inet.h"

#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>

enum { LARGE = 20000 };

static struct end without_port(int fd)
{
	struct end end = own_end(fd);

	end.at.four.sin_port = 0;
	return end;
}

static void send_to(int fd, struct end to, size_t size, int seed)
{
	fill_bytes(message_bytes, size, seed);
	if (sendto(fd, message_bytes, size, 0, &to.at.any, to.len) != (ssize_t)size)
		die("sendto");
}

/* What waits: behind so many bytes of headers. */
static void check_waits(const char *name, int fd, size_t header, size_t size, int seed, struct end want)
{
	struct end from = { .len = sizeof(from.at) };
	ssize_t n = recvfrom(fd, message_bytes, sizeof(message_bytes), MSG_DONTWAIT, &from.at.any, &from.len);

	if (want.len == sizeof(from.at.six))
		from.at.six.sin6_flowinfo = want.at.six.sin6_flowinfo;
	check(n == (ssize_t)(header + size) && bytes_are((unsigned char *)message_bytes + header, size, seed) &&
		      is_end(from, want), name,
	      "%zd bytes instead of %zu (errno %d), or others, or from somebody else", n, header + size,
	      n < 0 ? errno : 0);
}

static void wait_for(int fd)
{
	struct pollfd poll_it = { .fd = fd, .events = POLLIN };

	if (poll(&poll_it, 1, 10000) != 1)
		die("nothing comes");
}

/* Asks oneself: the kernel answers. */
static int ping(int family, const char *address, int seed)
{
	int fd = socket(family, SOCK_DGRAM, family == AF_INET ? (int)IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (fd < 0)
		return -1;
	struct end to = make_end(family, address, 0);
	unsigned char echo[58] = { family == AF_INET ? ICMP_ECHO : ICMPV6_ECHO_REQUEST };
	echo[7] = seed;
	fill_bytes(echo + 8, 50, seed);
	if (sendto(fd, echo, sizeof(echo), 0, &to.at.any, to.len) != sizeof(echo))
		die("ping");
	wait_for(fd);
	return fd;
}

static void check_reply(const char *name, int fd, int type, int seed)
{
	unsigned char got[100];
	ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);

	check(n == 58 && got[0] == type && got[7] == seed && (got[4] << 8 | got[5]) == ntohs(own_end(fd).at.four.sin_port) &&
		      bytes_are(got + 8, 50, seed), name, "%zd bytes, or others (errno %d)", n, errno);
	check_empty(name, fd);
}

int main(void)
{
	/* A number that no protocol has, and no other of these. */
	const int RAW = 143 + getpid() % 100;

	subject_init();
	/* UDP-Lite. */
	int lite = bound_socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, "127.0.0.1");
	int gone = bound_socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, "127.0.0.2");
	int lite_six = bound_socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, "::1");
	struct end end_lite = own_end(lite), end_gone = own_end(gone), end_lite_six = own_end(lite_six);
	send_to(gone, end_lite, 101, 1);
	set_inet_option(gone, IPPROTO_UDPLITE, 10 /* UDPLITE_SEND_CSCOV */, 12);
	send_to(gone, end_lite, LARGE, 2);
	close(gone);
	send_to(lite_six, end_lite_six, 33, 3);

	/* Raw ones: three with the same protocol, of which two have something. */
	int raw = bound_socket(AF_INET, SOCK_RAW, RAW, "127.0.0.3"), other = bound_socket(AF_INET, SOCK_RAW, RAW, "127.0.0.4");
	int none = bound_socket(AF_INET, SOCK_RAW, RAW, "127.0.0.5"), raw_six = bound_socket(AF_INET6, SOCK_RAW, RAW, "::1");
	int any = socket(AF_INET, SOCK_RAW, RAW);
	set_inet_option(other, IPPROTO_IP, IP_TTL, 7);
	set_inet_option(other, IPPROTO_IP, IP_TOS, 0x20);
	struct end end_raw = without_port(raw), end_other = without_port(other), end_six = without_port(raw_six);
	send_to(other, end_raw, 100, 4);
	send_to(other, end_raw, LARGE, 5);
	send_to(raw, end_other, 10, 6);
	send_to(raw_six, end_six, 200, 7);
	send_to(raw_six, end_six, 201, 8);
	wait_for(raw_six);
	/* It takes no more from here on. */
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { 1, &nothing };
	if (setsockopt(any, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		die("SO_ATTACH_FILTER");

	/* ICMP, where it is allowed (net.ipv4.ping_group_range). */
	int echo = ping(AF_INET, "127.0.0.1", 9), echo_six = ping(AF_INET6, "::1", 10);
	fact("icmp", "%d", echo >= 0 && echo_six >= 0);
	ready();
	wait_for_term();

	check_waits("UDP-Lite", lite, 0, 101, 1, end_gone);
	check_waits("UDP-Lite: large", lite, 0, LARGE, 2, end_gone);
	check_empty("UDP-Lite: no more", lite);
	check_waits("UDP-Lite of IPv6", lite_six, 0, 33, 3, end_lite_six);
	check_waits("raw", raw, sizeof(struct iphdr), 100, 4, end_other);
	struct iphdr *header = (void *)message_bytes;
	check_equal("raw: hops", header->ttl, 7);
	check_equal("raw: class", header->tos, 0x20);
	check_equal("raw: to", header->daddr, end_raw.at.four.sin_addr.s_addr);
	check_waits("raw: large", raw, sizeof(struct iphdr), LARGE, 5, end_other);
	check_empty("raw: no more", raw);
	check_waits("another raw one", other, sizeof(struct iphdr), 10, 6, end_raw);
	check_empty("another raw one: no more", other);
	check_empty("a raw one with nothing", none);
	check_waits("one with a filter", any, sizeof(struct iphdr), 100, 4, end_other);
	check_waits("one with a filter: large", any, sizeof(struct iphdr), LARGE, 5, end_other);
	check_waits("one with a filter: the last", any, sizeof(struct iphdr), 10, 6, end_raw);
	check_empty("one with a filter: no more", any);
	check_waits("raw, of IPv6", raw_six, 0, 200, 7, end_six);
	check_waits("raw, of IPv6: the second", raw_six, 0, 201, 8, end_six);
	check_empty("raw, of IPv6: no more", raw_six);
	if (echo >= 0)
		check_reply("ICMP", echo, ICMP_ECHOREPLY, 9);
	if (echo_six >= 0)
		check_reply("ICMP of IPv6", echo_six, ICMPV6_ECHO_REPLY, 10);
	/* They go on. */
	send_to(raw, end_other, 11, 1);
	wait_for(other);
	check_waits("goes on", other, sizeof(struct iphdr), 11, 1, end_raw);
	check_empty("one with a filter goes on", any);
	finish();
}
